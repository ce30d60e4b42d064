"""Files that commands write: never an input, never what somebody else made, never one that another run is writing."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from journal_rows import read_rows
from media_clips import clip

from mvit_cli.cli.main import run
from mvit_cli.cli.outputs import Place
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.report.figures import picture

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clip("rot90.mp4"), folder / name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestInputs:
    @pytest.mark.parametrize("option", ["--output", "--report"])
    @pytest.mark.parametrize("force", [(), ("--force",)])
    @pytest.mark.parametrize("named", ["{0}", "{0}/*.mp4", "@{1}/list.txt"])
    def test_are_never_overwritten(
        self, capsys: Captured, weights: str, folder: Path, option: str, force: tuple[str, ...], named: str
    ) -> None:
        (folder.parent / "list.txt").write_text(f"{folder}/a.mp4\n{folder}/b.mp4\n")
        before = contents(folder)
        name = named.format(folder, folder.parent)
        assert run(["predict", name, "--weights", weights, "-q", option, str(folder / "b.mp4"), *force]) == 2
        assert capsys.readouterr().err
        assert contents(folder) == before

    def test_not_by_another_name(self, capsys: Captured, weights: str, folder: Path) -> None:
        os.link(folder / "a.mp4", folder.parent / "rows.jsonl")
        before = contents(folder)
        target = str(folder.parent / "rows.jsonl")
        assert run(["predict", str(folder), "--weights", weights, "-q", "--force", "-o", target]) == 2
        assert f"--output {target} would overwrite {folder / 'a.mp4'}" in capsys.readouterr().err
        assert contents(folder) == before

    def test_what_is_found_after_the_start_is_an_error_row(self, weights: str, folder: Path) -> None:
        target = folder / "new.mp4"
        assert run(["predict", str(folder), "--weights", weights, "-q", "--format", "jsonl", "-o", str(target)]) == 1
        rows = read_rows(target)
        assert [(Path(row["path"]).name, row["status"]) for row in rows] == [
            *(("a.mp4", "ok"), ("b.mp4", "ok"), ("new.mp4", "error"))
        ]
        assert rows[-1]["error"]["message"] == "this run writes to it, as --output says"

    def test_a_slip_in_the_shell(self, capsys: Captured, weights: str, folder: Path) -> None:
        before = contents(folder)
        arguments = ["predict", "--weights", weights, "-q", "-o", str(folder / "a.mp4"), str(folder / "b.mp4")]
        assert run(arguments) == 2
        assert "--force replaces it" in capsys.readouterr().err
        assert contents(folder) == before


class TestRows:
    def test_of_earlier_runs_stay(self, capsys: Captured, weights: str, folder: Path) -> None:
        target = folder.parent / "rows.jsonl"
        arguments = ["predict", str(folder / "a.mp4"), "--weights", weights, "-q", "-o", str(target)]
        assert run(arguments) == 0
        before = target.read_bytes()
        assert run(arguments) == 2
        assert "--resume goes on, --force replaces" in capsys.readouterr().err
        assert target.read_bytes() == before
        assert run([*arguments, "--resume"]) == 0
        assert target.read_bytes() == before
        assert run([*arguments, "--force"]) == 0
        assert len(read_rows(target)) == 1

    @pytest.mark.parametrize("what", [b'"path","status"\n', b"path\tstatus\n", b'{"path": "a"}\n'])
    def test_of_each_format_are_known(self, tmp_path: Path, what: bytes) -> None:
        (tmp_path / "rows").write_bytes(what)
        with pytest.raises(UsageError, match="has rows already"):
            Place("--output", tmp_path / "rows", "rows").check()

    @pytest.mark.parametrize("what", [b"notes\n", b"\x89PNG\r\n\x1a\n", b"path,status,"])
    def test_go_over_nothing_that_is_there(self, tmp_path: Path, what: bytes) -> None:
        target = tmp_path / "rows.csv"
        target.write_bytes(what)
        with pytest.raises(UsageError, match="--output"), Place("--output", target, "rows").opened():
            pytest.fail("it was opened")
        assert target.read_bytes() == what

    def test_go_into_an_empty_file(self, tmp_path: Path) -> None:
        target = tmp_path / "rows.jsonl"
        target.touch()
        with Place("--output", target, "rows").opened() as stream:
            stream.write(b"row")
        assert target.read_bytes() == b"row"

    @pytest.mark.parametrize("more", [(), ("--force",), ("--resume",)])
    def test_of_two_runs_the_second_is_refused(
        self, capsys: Captured, weights: str, folder: Path, more: tuple[str, ...]
    ) -> None:
        target = folder.parent / "rows.jsonl"
        arguments = ["predict", str(folder), "--weights", weights, "-q", "-o", str(target), *more]
        with Place("--output", target, "rows").opened():
            assert run(arguments) == 1
        assert f"--output {target}: another run writes to it" in capsys.readouterr().err
        assert target.read_bytes() == b""

    def test_a_lock_of_a_file_that_resumes_holds(self, tmp_path: Path) -> None:
        target = tmp_path / "rows.jsonl"
        with target.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(MViTError, match="another run"):
                Place("--output", target, "rows", force=True).check()


class TestOthers:
    def test_a_page_of_ours_is_made_again_another_is_not(self, capsys: Captured, weights: str, folder: Path) -> None:
        target = folder.parent / "report.html"
        arguments = ["predict", str(folder / "a.mp4"), "--weights", weights, "-q", "--report", str(target)]
        assert run(arguments) == 0
        assert run(arguments) == 0
        target.write_text("<!doctype html><title>mine</title>")
        assert run(arguments) == 2
        assert target.read_text() == "<!doctype html><title>mine</title>"
        assert run([*arguments, "--force"]) == 0

    @pytest.mark.parametrize("suffix", [".svg", ".png"])
    def test_a_picture_of_ours_is_drawn_again_another_is_not(self, tmp_path: Path, suffix: str) -> None:
        pytest.importorskip("matplotlib")
        target = tmp_path / f"picture{suffix}"
        with picture(target, "ours", width=2, height=2):
            pass
        Place("--plot", target, "picture").check()
        target.write_bytes(target.read_bytes().replace(b"mvit", b"xxxx"))
        with pytest.raises(UsageError, match="--plot"):
            Place("--plot", target, "picture").check()

    def test_plot_and_trace_keep_inputs(self, capsys: Captured, folder: Path) -> None:
        pytest.importorskip("matplotlib")
        still = folder / "still.png"
        still.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
        trace = str(folder / "a.mp4")
        before = contents(folder)
        assert run(["summarize", "--plot", str(still)]) == 2
        assert run(["profile", "--preset", "camera", "--plot", str(still)]) == 2
        assert run(["profile", "--preset", "camera", "--trace", trace]) == 2
        assert run(["profile", "--preset", "camera", "--input", trace, "--trace", trace, "--force"]) == 2
        assert contents(folder) == before

    @pytest.mark.parametrize("option", ["--plot", "--trace"])
    def test_of_two_runs_on_one_picture_or_trace_the_second_is_refused(
        self, capsys: Captured, tmp_path: Path, option: str
    ) -> None:
        pytest.importorskip("matplotlib")
        target = tmp_path / {"--plot": "p.svg", "--trace": "t.json"}[option]
        with Place(option, target, "picture").reserved():
            assert run(["profile", "--preset", "camera", "--runs", "1", option, str(target)]) == 1
            assert f"{option} {target}: another run writes to it" in capsys.readouterr().err
            if option == "--plot":
                assert run(["summarize", "--preset", "camera", "--plot", str(target)]) == 1
        assert not target.exists()  # nothing was written, nothing is left
        with Place(option, target, "picture").reserved():
            target.write_text("drawn")
        assert target.read_text() == "drawn"

    def test_a_trace_of_ours_is_known(self, tmp_path: Path) -> None:
        import gzip

        target = tmp_path / "run.json.gz"
        target.write_bytes(gzip.compress(b'{\n  "schemaVersion": 1,\n  "traceEvents": []}'))
        Place("--trace", target, "trace").check()
        target.write_bytes(gzip.compress(b'{"mine": 1}'))
        with pytest.raises(UsageError, match="was not made by this command"):
            Place("--trace", target, "trace").check()


@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "tsv"])
def test_data_on_a_terminal_cannot_steer_it_and_are_exact_in_a_pipe(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, weights: str, format: str
) -> None:
    name = "a\x1b]52;c;eA==\x07\x9b2J\u202e.mp4"
    arguments = ["predict", name, "--weights", weights, "-q", "--format", format]
    assert run(arguments) == 1
    assert "\u202e" in capfd.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(arguments) == 1
    shown = capfd.readouterr().out
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert ".mp4" in shown
    assert ("\t" in shown) == (format == "tsv")


def test_only_rows_are_written_to_an_address(capsys: Captured, folder: Path, weights: str) -> None:
    assert run(["predict", str(folder), "--weights", weights, "-q", "--report", "s3://bucket/page.html"]) == 2
    said = capsys.readouterr().err
    assert "goes to files of this machine, not to addresses" in said
    assert "aws s3 cp" in said
