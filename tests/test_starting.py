"""`mvit predict` on one clip: the worker loads its libraries while torch is loaded here, and then decodes."""

from pathlib import Path
from typing import Any

import pytest

from mvit_cli.cli.main import run
from mvit_cli.media.workers import pool
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.media.workers.process import WorkerProcess
from mvit_cli.recognition.plan import Plan

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What began, in its order; workers that are still there are in `pools`."""
    order: list[str] = []
    opened, process, close = Plan.open, WorkerProcess, DecodePool.close

    def open_it(self: Plan, **options: Any) -> Any:
        order.append("network")
        return opened(self, **options)

    def start(*arguments: Any) -> Any:
        order.append("worker")
        return process(*arguments)

    def closed(self: DecodePool) -> None:
        order.extend("ended" for _ in self.workers)
        close(self)

    monkeypatch.setattr(Plan, "open", open_it)
    monkeypatch.setattr(pool, "WorkerProcess", start)
    monkeypatch.setattr(DecodePool, "close", closed)
    return order


def test_the_worker_starts_before_the_network_and_decodes(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", CLIP, "--preset", "camera", "--workers", "1", "--format", "jsonl"]) == 0
    assert told == ["worker", "network", "ended"]
    assert "pan left" in capsys.readouterr().out


def test_it_is_ended_where_the_network_cannot_be_loaded(told: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    assert run(["predict", CLIP, "--preset", "B", "--weights", str(broken)]) != 0
    assert told == ["worker", "network", "ended"]
