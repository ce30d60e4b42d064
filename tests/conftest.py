"""Settings for all tests."""

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

from mvit_cli.cli.main import run

# One thread a process: on a shared machine spinning threads made the suite five times slower, and sums keep one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test asserts speed: a busy machine takes longer than Hypothesis' 0.2 s for an example.
settings.register_profile("mvit", deadline=None)
settings.load_profile("mvit")


@pytest.fixture
def summarize(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the command and gives what it writes to stdout."""
    for name in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def run_it(*arguments: str, code: int = 0) -> str:
        assert run(["summarize", *arguments]) == code
        return capsys.readouterr().out

    return run_it


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the checkpoint of a network that is run in milliseconds."""
    from tiny_network import write_weights  # loads torch, which the number of threads above must precede

    return str(write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


@pytest.fixture
def decoding_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes have tests of their own; elsewhere they only take time, and do not see what a test replaces."""
    monkeypatch.setattr("mvit_cli.media.workers.pool.workers_auto", lambda: 0)
