"""The command that goes on with the rows of an earlier run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from journal_rows import RUN, error, ok, read_rows, write_rows
from media_clips import clip
from tiny_network import write_weights

from mvit_cli.cli.main import run
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan

Captured = pytest.CaptureFixture[str]


class TestWhatIsKnownOfARun:
    @pytest.mark.parametrize("options", [("camera", None, None), ("camera", "none", None), ("camera", None, "2x3")])
    def test_is_what_the_rows_will_say(self, options: tuple[str | None, ...]) -> None:
        preset, weights, views = options
        planned = plan(PredictOptions(preset=preset, weights=weights, views=views))
        loaded = planned.open().run
        assert planned.identity == {key: loaded[key] for key in RUN}

    def test_views_of_a_file_of_ones_own_are_not_known(self, tmp_path: Path) -> None:
        file = str(write_weights(tmp_path / "tiny.safetensors"))
        assert plan(PredictOptions(weights=file)).identity == {"preset": None, "weights": file, "views": None}
        assert plan(PredictOptions(weights=file, views="2x1")).identity["views"] == "2x1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    shutil.copy(clip("rot90.mp4"), folder / "a.mp4")
    (folder / "b.mp4").write_text("not a video")
    shutil.copy(clip("rot90.mp4"), folder / "c.mp4")
    return folder


@pytest.mark.usefixtures("decoding_in_this_process")
class TestCommand:
    def predict(self, folder: Path, weights: str, *options: str) -> int:
        """One run over the folder, into a file in the folder."""
        return run(["predict", str(folder), "--weights", weights, "--output", str(folder / "rows.jsonl"), *options])

    def names(self, folder: Path) -> list[str]:
        return [Path(row["path"]).name for row in read_rows(folder / "rows.jsonl")]

    def test_goes_on_in_input_order(self, capsys: Captured, folder: Path, weights: str) -> None:
        assert self.predict(folder, weights, "--resume", "-q") == 1
        whole = (folder / "rows.jsonl").read_bytes().splitlines(keepends=True)
        assert self.names(folder) == ["a.mp4", "b.mp4", "c.mp4"]  # and not the rows themselves
        (folder / "rows.jsonl").write_bytes(whole[1] + whole[2][:40])
        assert self.predict(folder, weights, "--resume") == 1
        assert self.names(folder) == ["b.mp4", "a.mp4", "c.mp4"]
        assert (folder / "rows.jsonl").read_bytes().startswith(whole[1])
        told = capsys.readouterr().err
        assert "3 inputs: 2 ok, 1 skipped (done before); " in told
        assert "has 1 row with errors of earlier runs" in told

    def test_retries_errors(self, folder: Path, weights: str) -> None:
        assert self.predict(folder, weights, "-q") == 1
        shutil.copy(clip("rot90.mp4"), folder / "b.mp4")
        assert self.predict(folder, weights, "--resume", "-q") == 1
        assert self.predict(folder, weights, "--resume", "--retry-errors", "-q") == 0
        assert self.names(folder) == ["a.mp4", "c.mp4", "b.mp4"]
        assert {row["status"] for row in read_rows(folder / "rows.jsonl")} == {"ok"}

    @pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
    def test_a_row_that_found_no_room_is_done_again(self, capsys: Captured, folder: Path, weights: str) -> None:
        import resource

        assert self.predict(folder, weights, "-q") == 1
        whole, file = read_rows(folder / "rows.jsonl"), folder / "rows.jsonl"
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size - 100, limits[1]))
        try:
            assert self.predict(folder, weights, "-q", "--force") == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert f"error: --output {file}: File too large\n" in capsys.readouterr().err
        assert not file.read_bytes().endswith(b"\n")
        assert self.predict(folder, weights, "--resume", "-q") == 1
        keys = ("path", "status", "predictions", "error")
        assert [[row.get(key) for key in keys] for row in read_rows(file)] == [
            [row.get(key) for key in keys] for row in whole
        ]

    def test_without_resume_the_file_begins_anew(self, folder: Path, weights: str) -> None:
        for _ in range(2):
            self.predict(folder, weights, "-q")
            assert self.names(folder) == ["a.mp4", "b.mp4", "c.mp4"]

    @pytest.mark.parametrize(("errors", "code"), [([], 0), ([error("gone")], 1)])
    def test_starts_no_network_if_nothing_is_left(
        self, tmp_path: Path, folder: Path, weights: str, errors: list[dict], code: int
    ) -> None:
        paths = [str(folder / name) for name in ("a.mp4", "b.mp4", "c.mp4")]
        run_of_file = {"preset": None, "weights": weights, "views": "5x1"}
        file = write_rows(tmp_path / "rows.jsonl", *(ok(p) | run_of_file for p in paths), *errors, torn=b'{"path')
        program = (
            "import sys\nfrom mvit_cli.cli.main import run\n"
            "code = run(['predict', *sys.argv[1:]])\n"
            "print(code, {'torch', 'av', 'numpy'} & set(sys.modules))"
        )
        arguments = [str(folder), "--weights", weights, "--output", str(file), "--resume"]
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
        assert done.stdout == f"{code} set()\n"
        assert done.stderr.startswith("3 inputs: 0 ok, 3 skipped (done before); ")
        assert len(read_rows(file)) == 3 + len(errors)

    @pytest.mark.parametrize("changed", ["--views", "--weights"])
    def test_refuses_another_run_before_loading_and_keeps_the_rows(
        self,
        capsys: Captured,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        folder: Path,
        weights: str,
        changed: str,
    ) -> None:
        self.predict(folder, weights, "-q")
        before = (folder / "rows.jsonl").read_bytes()
        monkeypatch.setattr("mvit_cli.recognition.plan.Plan.open", lambda *_, **__: pytest.fail("a network was loaded"))
        other = {"--views": "1x1", "--weights": str(shutil.copy(weights, tmp_path / "other.safetensors"))}
        assert self.predict(folder, weights, "--resume", "--retry-errors", changed, other[changed]) == 2
        assert f"and this run has {other[changed]}" in " ".join(capsys.readouterr().err.split())
        assert (folder / "rows.jsonl").read_bytes() == before

    def test_views_that_only_the_loaded_network_tells_are_compared_too(
        self, capsys: Captured, folder: Path, weights: str
    ) -> None:
        file = folder / "rows.jsonl"
        write_rows(file, ok("z") | {"preset": None, "weights": weights, "views": "9x1"})
        before = file.read_bytes()
        assert self.predict(folder, weights, "--resume") == 2
        assert "has views 9x1, and this run has 5x1" in capsys.readouterr().err
        assert file.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.usefixtures("decoding_in_this_process")
def test_a_killed_run_goes_on_with_one_row_for_each_input(tmp_path: Path, weights: str) -> None:
    source = shutil.copy(clip("rot90.mp4"), tmp_path / "clip")
    paths = [str(tmp_path / f"{number:02}.mp4") for number in range(25)]
    for path in paths:
        os.link(source, path)
    file = tmp_path / "rows.jsonl"
    arguments = ["predict", *paths, "--weights", weights, "--output", str(file), "--resume"]
    process = subprocess.Popen([sys.executable, "-m", "mvit_cli", *arguments, "-q", "--workers", "1"])
    try:
        deadline = time.monotonic() + 60
        while (not file.exists() or file.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(30)
    before = file.read_bytes()
    reported = before[: before.rindex(b"\n") + 1]
    assert 3 <= reported.count(b"\n") < len(paths)
    assert run([*arguments, "-q"]) == 0
    assert file.read_bytes().startswith(reported)
    assert Counter(row["path"] for row in read_rows(file)) == Counter(paths)
