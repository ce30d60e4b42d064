"""`mvit train --method full`: the whole network, from random looks; stopped, resumed, shared by processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_train_command import few, own_cache
from tiny_network import write_weights

import mvit_cli
from mvit_cli.cli.main import Terminated, run
from mvit_cli.recognition.local_engine import request_for
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.finetune import schedule_of, settings_of
from mvit_cli.training.looks import is_sided, look_of
from mvit_cli.training.loop import Batch, Stepped, Trainer, generator_of

__all__ = ["own_cache"]

Full = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few(tmp_path_factory.mktemp("data"), 4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def full(data: Path, weights: Path, tmp_path: Path) -> Full:
    def run_it(name: str = "mine", **options: Any) -> dict[str, Any]:
        wanted: dict[str, Any] = {"epochs": 3, "batch_size": 4, "method": "full", "views": "1x1", "workers": 0}
        wanted["rand_augment"] = "1,5"
        wanted |= options
        return dict(mvit_cli.train(data, tmp_path / f"{name}.safetensors", weights=weights, **wanted))

    return run_it


def history(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in ("epoch", "train_loss", "val")} for line in lines if "epoch" in line]


def test_the_network_is_trained_and_the_best_epoch_is_what_predict_takes(full: Full, tmp_path: Path) -> None:
    result = full()
    assert result["chosen"]["epochs"] == 3
    assert [line["epoch"] for line in history(tmp_path / "mine")][-4:] == [0, 1, 2, 3]
    rows = list(mvit_cli.predict(few(tmp_path / "again", 4), weights=result["weights"]))
    assert all(row["status"] == "ok" and row["warnings"] == [] for row in rows)


def test_a_run_that_was_stopped_ends_with_the_same_weights(full: Full, tmp_path: Path, monkeypatch: Any) -> None:
    """Bit for bit: whatever is drawn depends on the step, and the state is whole or not there."""
    through = full("through")

    class KilledError(BaseException):
        pass

    train_on = Trainer.train_on

    def killed(trainer: Trainer, batch: Batch) -> Stepped:
        if trainer.step == 4:
            raise KilledError
        return train_on(trainer, batch)

    monkeypatch.setattr(Trainer, "train_on", killed)
    with pytest.raises(KilledError):
        full("mine")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    resumed = full("mine", resume=True)
    assert resumed | {"weights": ""} == through | {"weights": ""}
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("through", "mine")]
    for part in ("model", "average", "best"):
        one, other = ((state["more"] if part == "best" else state)[part] for state in states)
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    files = [load_file(result["weights"]) for result in (through, resumed)]
    assert all(torch.equal(tensor, files[1][name]) for name, tensor in files[0].items())


@pytest.mark.parametrize(("stopped", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_ctrl_c_keeps_the_best_so_far(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, stopped: type[BaseException], code: int
) -> None:
    train_on = Trainer.train_on

    def interrupted(trainer: Trainer, batch: Batch) -> Stepped:
        if trainer.step == 3:
            raise stopped
        return train_on(trainer, batch)

    monkeypatch.setattr(Trainer, "train_on", interrupted)
    target = tmp_path / "mine.safetensors"
    words = ["train", str(data), "-o", str(target), "--weights", str(weights), "--method", "full", "--epochs", "3"]
    assert run([*words, "--views", "1x1", "--batch-size", "4"]) == code
    assert "interrupted: the best weights so far are kept" in capsys.readouterr().err
    (row,) = mvit_cli.predict(next(data.glob("spin/*.mp4")), weights=target)
    assert row["status"] == "ok"


def test_a_file_that_cannot_be_read_any_more_is_told_and_replaced(full: Full, tmp_path: Path, monkeypatch: Any) -> None:
    def gone(*args: Any) -> Any:
        made = request_for(*args)
        return replace(made, path="gone.mp4") if "/spin/" in made.path else made

    monkeypatch.setattr("mvit_cli.training.finetune.request_for", gone)
    full()
    lines = [json.loads(line) for line in (tmp_path / "mine" / "log.jsonl").read_text().splitlines()]
    failed = {Path(line["path"]).parent.name for line in lines if line["event"] == "failed"}
    assert failed == {"spin"}
    assert [line["epoch"] for line in history(tmp_path / "mine")] == [0, 1, 2, 3]


def test_defaults_follow_the_number_of_clips() -> None:
    asked = TrainOptions(data="", output="", method="full")
    few_, many = (schedule_of(clips, asked) for clips in (20, 5000))
    assert (few_.epochs, few_.batch_size, few_.steps) == (40, 8, 3)
    assert (many.epochs, many.batch_size, many.steps) == (20, 32, 157)
    assert schedule_of(3, asked).batch_size == 3
    assert settings_of(20, few_, asked).steps == 120
    assert schedule_of(20, TrainOptions(data="", output="", epochs=2, batch_size=5)).steps == 4


def test_looks_are_anywhere_and_the_same_for_the_same_epoch_and_clip() -> None:
    looks = [look_of(generator_of(0, "views", epoch, 3), mirror=True) for epoch in range(300)]
    assert looks[7] == look_of(generator_of(0, "views", 7, 3), mirror=True)
    areas = [(look.box[2] - look.box[0]) * (look.box[3] - look.box[1]) for look in looks]
    assert 0.3 < min(areas) < 0.45
    assert max(areas) > 0.9
    assert 100 < sum(look.mirrored for look in looks) < 200
    assert {look.start < 0.5 for look in looks} == {True, False}
    assert not any(look_of(generator_of(0, "views", epoch, 3), mirror=False).mirrored for epoch in range(20))


def test_labels_that_speak_of_sides_are_not_mirrored() -> None:
    assert all(map(is_sided, ("pan left", "Turn_Right", "roll counter-clockwise", "clockwise")))
    assert not any(map(is_sided, ("bright", "leftover food", "copyright", "jump")))


def command(data: Path, weights: Path, target: Path, *more: str) -> list[str]:
    words = ["-m", "mvit_cli", "train", str(data), "-o", str(target), "--weights", str(weights), "--method", "full"]
    return [*words, "--epochs", "4", "--batch-size", "4", "--views", "1x1", "--workers", "1", "--device", "cpu", *more]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_after_kill_9_it_goes_on_to_the_same_weights(
    data: Path, weights: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    through, mine = (command(data, weights, tmp_path / f"{name}.safetensors") for name in ("through", "mine"))
    subprocess.run([sys.executable, *through], env=environment, check=True)
    process = subprocess.Popen([sys.executable, *mine], env=environment)
    log, until = tmp_path / "mine" / "log.jsonl", time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and '"epoch": 2' in log.read_text()):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "mine.safetensors").exists()
    subprocess.run([sys.executable, *mine, "--resume"], env=environment, check=True)
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("through", "mine"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(
    data: Path, weights: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Sums of float32 in another order: the losses of some steps agree to 1e-4."""
    subprocess.run([sys.executable, *command(data, weights, tmp_path / "one.safetensors")], env=environment, check=True)
    both = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable]
    subprocess.run(
        [sys.executable, *both, *command(data, weights, tmp_path / "two.safetensors")], env=environment, check=True
    )
    one, two = (history(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) == 5
    for first, second in zip(one[1:], two[1:], strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-4)
    assert (tmp_path / "two.safetensors").exists()


SHORT_OF_MEMORY = """
import torch, sys
from mvit_cli.cli.main import run
from mvit_cli.model.mvit import MViT

plain = MViT.forward


def greedy(self, clips):
    if self.training and len(clips) > 1 and torch.distributed.get_rank() == 1:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
    return plain(self, clips)


MViT.forward = greedy
sys.exit(run(sys.argv[3:]))
"""


@pytest.mark.slow
def test_one_of_two_processes_that_is_short_of_memory_takes_fewer_clips_at_a_time(
    data: Path, weights: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The other does not wait for it in vain, and the loss curve stays: sums of float32 in another order."""
    both = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable]
    plain, short = (command(data, weights, tmp_path / f"{name}.safetensors") for name in ("plain", "short"))
    subprocess.run([sys.executable, *both, *plain], env=environment, check=True, timeout=300)
    subprocess.run([sys.executable, *both, "-c", SHORT_OF_MEMORY, *short], env=environment, check=True, timeout=300)
    for first, second in zip(history(tmp_path / "plain")[1:], history(tmp_path / "short")[1:], strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-4)
