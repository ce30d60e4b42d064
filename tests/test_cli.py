"""The command line: formats, exit codes, messages, streams."""

import base64
import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from media_clips import clip
from tiny_network import CONFIG

from mvit_cli import __version__
from mvit_cli.cli.main import run

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copy(clip("rot90.mp4"), folder / "good.mp4")
    (folder / "text.mp4").write_text("not a video")
    return folder


pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def lines(captured: str) -> list[dict]:
    return [json.loads(line) for line in captured.splitlines()]


class TestStart:
    def test_version(self, capsys: Captured) -> None:
        assert run(["--version"]) == 0
        assert capsys.readouterr().out == f"mvit {__version__}\n"

    @pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
    def test_alone_it_prints_help(self, capsys: Captured, arguments: list[str]) -> None:
        assert run(arguments) == 0
        out = capsys.readouterr().out
        assert all(command in out for command in ("predict", "summarize", "weights", "Examples"))
        assert max(map(len, out.splitlines())) <= 80

    def test_help_loads_nothing_heavy(self) -> None:
        program = (
            "import sys\n"
            "from mvit_cli.cli.main import run\n"
            "assert run(['--help']) == run(['predict', '--help']) == run(['summarize', '--help']) == 0\n"
            "heavy = {'torch', 'numpy', 'av', 'decord', 'PIL', 'rich', 'huggingface_hub', 'safetensors'}\n"
            "print(heavy & set(sys.modules), file=sys.stderr)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "set()\n")

    def test_the_options_of_predict_and_their_defaults(self, capsys: Captured) -> None:
        assert run(["predict", "--help"]) == 0
        out = capsys.readouterr().out
        for option in (
            *("--preset", "--weights", "--labels", "--top", "--views", "--device", "--dtype", "--batch-size"),
            *(
                "--workers",
                "--window",
                "--hop",
                "--timeout",
                "--format",
                "--reader",
                "--output",
                "--resume",
                "--retry-errors",
                "--fail-fast",
                "--quiet",
                "--no-stages",
                "-0",
            ),
        ):
            assert f"{option} " in out or f"{option}," in out, option
        assert "default: B]" in " ".join(out.split())


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["predict"], "Missing argument"),
            (["predict", "--nope"], "No such option: --nope"),
            (["nope"], "No such command 'nope'"),
            (["predict", "x.mp4", "--preset", "Bx"], "no preset 'Bx'"),
            (["predict", "x.mp4", "--top", "0"], "--top"),
            (["predict", "x.mp4", "--top", "many"], "--top"),
            (["predict", "x.mp4", "--views", "5"], "--views '5'"),
            (["predict", "x.mp4", "--dtype", "int4"], "there is no dtype 'int4'"),
            (["predict", "x.mp4", "--device", "tpu"], "no device 'tpu'"),
            (["predict", "x.mp4", "--batch-size", "0"], "--batch-size '0'"),
            (["predict", "x.mp4", "--workers", "some"], "--workers 'some'"),
            (["predict", "x.mp4", "--timeout", "0"], "--timeout 0"),
            (["predict", "x.mp4", "--timeout", "nan"], "--timeout nan"),
            (["predict", "x.mp4", "--hop", "1"], "--hop needs --window"),
            (["predict", "x.mp4", "--window", "0"], "a window of 0 s"),
            (["predict", "x.mp4", "--window", "2", "--hop", "nan"], "a hop of nan s"),
            (["predict", "x.mp4", "--window", "2", "--reader", "decord"], "only the reader av"),
            (["predict", "x.mp4", "--weights", "mvit_b_16x4.tv_k40"], "no weights are named"),
            (["predict", "x.mp4", "--preset", "v2-S", "--weights", "mvit_b_16x4.tv_k400"], "belongs to preset"),
        ],
    )
    def test_is_told_in_one_line_and_helped_in_another(self, capsys: Captured, arguments: list[str], told: str) -> None:
        assert run(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        error, hint = captured.err.splitlines()
        assert error.startswith("error: ")
        assert told in error
        assert hint.startswith("hint: ")

    def test_the_nearest_presets_are_named(self, capsys: Captured) -> None:
        assert run(["predict", "x.mp4", "--preset", "mvit_b_16x5"]) == 2
        assert "mvit_b_16x4" in capsys.readouterr().err


class TestRunsThatCannotBeDone:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--preset", "S"], "no weights are published for preset mvit_s_16x4"),
            (["--weights", "nowhere.pyth"], "nowhere.pyth: no such file"),
            (["--labels", "nowhere.txt"], "labels nowhere.txt: No such file"),
            (["--output", "nowhere/rows.jsonl"], "there is no folder nowhere"),
        ],
    )
    def test_end_with_1_before_torch_is_needed(self, capsys: Captured, options: list[str], told: str) -> None:
        assert run(["predict", "x.mp4", *options]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert told in captured.err
        assert "hint: " in captured.err

    def test_weights_that_are_nowhere(self, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setenv("MVIT_OFFLINE", "1")
        assert run(["predict", clip("rot90.mp4")]) == 1
        error = capsys.readouterr().err
        assert "mvit_b_16x4.tv_k400 is not on this machine" in error
        assert "--preset camera" in error

    def test_a_bug_is_one_line_too(self, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*arguments: object, **options: object) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr("mvit_cli.recognition.planning.planned", broken)
        assert run(["predict", "x.mp4"]) == 1
        assert capsys.readouterr().err.startswith("error: unexpected: KeyError: 'a bug'\nhint: ")

    def test_ctrl_c_is_one_word(self, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("mvit_cli.recognition.planning.planned", interrupted)
        assert run(["predict", "x.mp4"]) == 130
        assert capsys.readouterr().err == "interrupted\n"


class TestFormats:
    def test_rows_are_json_lines_where_nobody_looks(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights]) == 1
        captured = capsys.readouterr()
        assert [row["status"] for row in lines(captured.out)] == ["ok", "error"]
        note, summary, failure = captured.err.splitlines()
        assert note.startswith("note: the weights have no card")
        assert summary.startswith("2 inputs: 1 ok, 1 failed (decode 1); ")
        assert failure.startswith(f"failed: {folder / 'text.mp4'}: ")

    def test_quiet_leaves_stderr_empty(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--quiet"]) == 1
        captured = capsys.readouterr()
        assert captured.err == ""
        assert len(lines(captured.out)) == 2

    def test_all_good_ends_with_0(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder / "good.mp4"), "--weights", weights, "-q"]) == 0
        assert len(lines(capsys.readouterr().out)) == 1

    def test_a_single_file_that_fails_is_told_on_stderr_too(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder / "text.mp4"), "--weights", weights]) == 1
        captured = capsys.readouterr()
        assert f"error: {folder / 'text.mp4'}: {lines(captured.out)[0]['error']['message']}\n" in captured.err

    def test_json_is_one_document_with_the_network(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--format", "json", "-q"]) == 1
        document = json.loads(capsys.readouterr().out)
        assert document["counts"] == {"ok": 1, "error": 1}
        assert document["model"]["num_classes"] == CONFIG.num_classes
        assert [stage["name"] for stage in document["model"]["stages"]] == ["cube1", "scale2", "scale3", "head"]

    @pytest.mark.parametrize(("format", "separator"), [("csv", ","), ("tsv", "\t")])
    def test_separated_values_have_a_column_for_each_rank(
        self, capsys: Captured, weights: str, folder: Path, format: str, separator: str
    ) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--format", format, "--top", "2", "-q"]) == 1
        table = list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter=separator))
        assert [row["status"] for row in table] == ["ok", "error"]
        assert float(table[0]["score_1"]) >= float(table[0]["score_2"])
        assert "label_3" not in table[0]
        assert table[1]["error_kind"] == "decode"

    def test_there_are_no_more_columns_than_classes(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--format", "csv", "--top", "50", "-q"]) == 1
        header, *_ = csv.reader(io.StringIO(capsys.readouterr().out))
        assert [name for name in header if name.startswith("label_")] == [f"label_{i}" for i in range(1, 8)]

    def test_fail_fast_stops_at_the_first_error(self, capsys: Captured, weights: str, folder: Path) -> None:
        inputs = [str(folder / name) for name in ("good.mp4", "text.mp4", "good.mp4")]
        assert run(["predict", *inputs, "--weights", weights, "--fail-fast", "-q"]) == 1
        assert [row["status"] for row in lines(capsys.readouterr().out)] == ["ok", "error"]

    @pytest.mark.parametrize(("option", "end"), [([], b"\n"), (["-0"], b"\0")])
    def test_paths_come_on_standard_input(
        self,
        capsys: Captured,
        weights: str,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        option: list[str],
        end: bytes,
    ) -> None:
        paths = [str(folder / "text.mp4"), str(folder / "good.mp4")]
        (tmp_path / "list").write_bytes(b"".join(os.fsencode(path) + end for path in paths))
        with (tmp_path / "list").open() as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert run(["predict", *option, "-", "--weights", weights, "-q"]) == 1
        assert [row["path"] for row in lines(capsys.readouterr().out)] == paths

    @pytest.mark.parametrize("empty", ["-", "@list.txt", "folder"])
    def test_nothing_to_do_is_an_error_unless_that_is_allowed(
        self, capsys: Captured, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "list.txt").touch()
        (tmp_path / "folder").mkdir()
        with open(os.devnull) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert run(["predict", empty, "--weights", weights, "--output", "rows.jsonl"]) == 1
            told = capsys.readouterr().err
            assert ("--allow-empty" in told) == (empty == "-")  # the others have a row that says it
            assert run(["predict", empty, "--weights", weights, "--allow-empty"]) == 0
        assert capsys.readouterr().out == ""

    def test_a_part_of_many_may_have_nothing_to_do(self, weights: str, folder: Path) -> None:
        inputs = [str(folder / "good.mp4"), "--weights", weights, "-q"]
        assert [run(["predict", *inputs, "--shard", f"{part}/7"]) for part in range(7)] == [0] * 7

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
    def test_a_name_that_is_no_utf8_comes_back(self, capsys: Captured, weights: str, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
        shutil.copy(clip("rot90.mp4"), os.fsdecode(name))
        assert run(["predict", os.fsdecode(name), "--weights", weights, "-q"]) == 0
        text = capsys.readouterr().out
        (row,) = lines(text)
        assert base64.b64decode(row["path_bytes"]) == name
        assert row["path"].endswith(r"/caf\xe9.mp4")
        (tmp_path / "rows.jsonl").write_text(text)
        assert run(["predict", f"@{tmp_path}/rows.jsonl", "--weights", weights, "-q"]) == 0
        assert lines(capsys.readouterr().out)[0]["path_bytes"] == row["path_bytes"]


class TestOutput:
    def test_a_file_takes_the_rows_and_stdout_stays_empty(
        self, capsys: Captured, weights: str, folder: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "rows.jsonl"
        target.write_text("older rows\n")
        assert run(["predict", str(folder), "--weights", weights, "--force", "--output", str(target)]) == 1
        assert capsys.readouterr().out == ""
        assert [row["status"] for row in lines(target.read_text())] == ["ok", "error"]

    @pytest.mark.parametrize(
        ("suffix", "start"), [("csv", "path,"), ("tsv", "path\t"), ("json", '{"model"'), ("NDJSON", '{"path"')]
    )
    def test_the_suffix_tells_the_format(
        self, weights: str, folder: Path, tmp_path: Path, suffix: str, start: str
    ) -> None:
        target = tmp_path / f"rows.{suffix}"
        assert run(["predict", str(folder / "good.mp4"), "--weights", weights, "-q", "-o", str(target)]) == 0
        assert target.read_text().startswith(start)

    @pytest.mark.parametrize(
        ("option", "name", "says"),
        [
            ("-o", "x.txt", "name it x.jsonl, .parquet, .json, .csv, .tsv, .srt or .vtt"),
            ("-o", "x.xlsx", "not written as .xlsx"),
            ("-o", "x.jsonl.gz", "name it x.jsonl"),
            ("--report", "r.pdf", "name it r.html"),
        ],
    )
    def test_a_suffix_of_something_else_is_refused(
        self, capsys: Captured, tmp_path: Path, option: str, name: str, says: str
    ) -> None:
        assert run(["predict", "x.mp4", option, str(tmp_path / name)]) == 2
        assert says in capsys.readouterr().err
        assert not (tmp_path / name).exists()

    def test_a_format_that_is_named_may_have_any_name(self, weights: str, folder: Path, tmp_path: Path) -> None:
        target = tmp_path / "rows.txt"
        arguments = [str(folder / "good.mp4"), "--weights", weights, "-q", "-o", str(target)]
        assert run(["predict", *arguments, "--format", "jsonl"]) == 0
        assert target.read_text().startswith('{"path"')

    def test_what_is_read_is_never_overwritten(self, capsys: Captured, weights: str, folder: Path) -> None:
        clip_path = folder / "good.mp4"
        before = clip_path.read_bytes()
        assert run(["predict", str(clip_path), "--weights", weights, "--output", str(clip_path)]) == 2
        assert run(["predict", str(clip_path), "--weights", weights, "--output", weights]) == 2
        assert "would overwrite" in capsys.readouterr().err
        assert clip_path.read_bytes() == before

    def test_a_folder_is_no_output(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--output", str(folder)]) == 2
        assert "is a folder" in capsys.readouterr().err

    def test_a_failed_start_leaves_the_older_rows(self, weights: str, tmp_path: Path) -> None:
        target = tmp_path / "rows.jsonl"
        target.write_text("older rows\n")
        assert run(["predict", "x.mp4", "--preset", "B", "--weights", weights, "--force", "-o", str(target)]) == 1
        assert target.read_text() == "older rows\n"

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
    def test_a_full_disk_is_named(self, capsys: Captured, weights: str, folder: Path) -> None:
        assert run(["predict", str(folder), "--weights", weights, "--output", "/dev/full", "-q"]) == 1
        assert "error: --output /dev/full: No space left on device" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
class TestProcesses:
    @pytest.fixture
    def running(self, weights: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        """An endless run that has written its first rows."""
        paths = "\n".join([str(folder / "good.mp4")] * 2000)
        process = subprocess.Popen(
            [sys.executable, "-m", "mvit_cli", "predict", "-", "--weights", weights, "--workers", "1", "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(paths.encode())
        process.stdin.close()
        assert json.loads(process.stdout.readline())["status"] == "ok"
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    @pytest.mark.parametrize(("how", "code", "told"), [("closed pipe", 0, b""), ("ctrl-c", 130, b"interrupted\n")])
    def test_a_run_that_is_cut_short_leaves_nothing_behind(
        self, running: subprocess.Popen[bytes], how: str, code: int, told: bytes
    ) -> None:
        workers = children(running.pid)
        if how == "ctrl-c":
            running.send_signal(signal.SIGINT)
        else:
            assert running.stdout
            running.stdout.close()
        assert running.stderr
        with running.stderr as stream:
            assert stream.read() == told
        assert running.wait(30) == code
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def children(pid: int) -> list[int]:
    """Processes that a process has started, where the system tells."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some room"),
        (errno.EMFILE, "too many files"),
        (errno.EACCES, "permissions"),
        (errno.EROFS, "read-only"),
        (errno.EISDIR, "is a folder"),
        (errno.ENOENT, "does not exist"),
        (errno.EXDEV, "check the place"),
    ],
)
def test_hints_of_system_errors_fit_the_error(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number), "there/file")

    monkeypatch.setattr("mvit_cli.cli.main._invoke", failing)
    assert run([]) == 1
    message, hint = capsys.readouterr().err.splitlines()
    assert message == f"error: there/file: {os.strerror(number)}"
    assert words in hint
    assert ("free some room" in hint) == (number == errno.ENOSPC)
