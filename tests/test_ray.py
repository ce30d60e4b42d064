"""`--engine ray`: the rows of the local engine in the same order, whatever dies on the way; see docs/scale.md."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mvit_cli.cli.main import run

ray = pytest.importorskip("ray")

from mvit_cli.engines import ray as engine  # noqa: E402
from mvit_cli.engines.cluster import Cluster  # noqa: E402
from mvit_cli.engines.ray import Worker, opened  # noqa: E402
from mvit_cli.errors import MViTError, UsageError  # noqa: E402
from mvit_cli.media.sources import Source  # noqa: E402
from mvit_cli.recognition.listing import Listing  # noqa: E402
from mvit_cli.recognition.options import PredictOptions  # noqa: E402
from mvit_cli.recognition.plan import plan  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]
CLIPS = Path(__file__).parent / "data" / "clips"
OPTIONS = PredictOptions(preset="camera", workers=1, batch_size=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-two files, good and bad."""
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(3):
        shutil.copytree(CLIPS, folder / str(number))
    return folder


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[str]:
    return [source.path for source in Listing((str(folder),)).sources()]


def compared(rows: Any) -> list[dict[str, Any]]:
    return [row | {"timing_ms": None} for row in rows]


@pytest.fixture(scope="module")
def local(paths: list[str]) -> list[dict[str, Any]]:
    return compared(row for row, _ in plan(OPTIONS).open().rows(map(Source, paths)))


class Mortal(Worker):
    """Dies of files called poison; leaves its process where a test finds it."""

    def rows(self, tasks: Any) -> Any:
        Path(os.environ["PIDS"], str(os.getpid())).touch()
        if any("poison" in task.source.path for task in tasks):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.3)
        return super().rows(tasks)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Actors that can die; the folder that has a file for each process of theirs."""
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(engine, "Worker", Mortal)
    monkeypatch.setattr(engine, "CHUNK", 4)
    yield tmp_path / "pids"
    ray.shutdown()


def test_rows_are_those_of_the_local_engine(paths: list[str], local: list[dict[str, Any]]) -> None:
    with opened(plan(OPTIONS), Cluster()) as actors:
        assert compared(row for row, _ in actors.rows(map(Source, paths))) == local
        assert actors.run["weights"] == "camera_motion.embedded"
        ((_, pictures),) = actors.rows([Source(paths[-1])], lambda number: "poster")
        assert pictures is None or pictures.poster.jpeg  # the page has them too


def test_poison_costs_its_own_row(paths: list[str], local: list[dict[str, Any]], pids: Path) -> None:
    mixed = [*paths[:9], "poison.mp4", *paths[9:20], "other poison.mp4"]
    with opened(plan(OPTIONS), Cluster()) as actors:
        rows = compared(row for row, _ in actors.rows(map(Source, mixed)))
    assert [row["path"] for row in rows] == mixed
    assert [row for row in rows if "poison" not in row["path"]] == local[:20]
    assert {row["error"]["kind"] for row in rows if "poison" in row["path"]} == {"crash"}


def test_an_actor_that_is_killed_costs_no_row(paths: list[str], local: list[dict[str, Any]], pids: Path) -> None:
    def kill() -> None:
        while not (found := list(pids.iterdir())):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(int(found[0].name), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with opened(plan(OPTIONS), Cluster()) as actors:
        rows = compared(row for row, _ in actors.rows(map(Source, paths)))
    killer.join()
    assert rows == local
    assert len(list(pids.iterdir())) == 2  # another took over


def test_a_machine_that_is_taken_away_costs_no_row(paths: list[str], local: list[dict[str, Any]], pids: Path) -> None:
    from ray.cluster_utils import Cluster as Machines

    size: dict[str, Any] = {"object_store_memory": 100 << 20}
    machines: Any = Machines(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
    try:
        machines.add_node(num_cpus=1, **size)
        second = machines.add_node(num_cpus=1, **size)
        rows = []
        with opened(plan(OPTIONS), Cluster(machines.address, least=2, most=2, cpus=1)) as actors:
            for row, _ in actors.rows(map(Source, paths)):
                rows.append(row)
                if len(rows) == 6:
                    machines.remove_node(second, allow_graceful=False)
        assert compared(rows) == local
    finally:
        machines.shutdown()


def test_the_command_goes_on_after_its_death(folder: Path, paths: list[str], tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    command = ["predict", str(folder), "--preset", "camera", "--engine", "ray", "-o", str(output), "--quiet"]
    first = subprocess.Popen([sys.executable, "-m", "mvit_cli", *command], stderr=subprocess.PIPE)
    while first.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < 10):
        time.sleep(0.05)
    first.kill()
    first.communicate()
    with output.open("ab") as file:
        file.write(b'{"path": "torn')
    assert run([*command, "--resume"]) == 1  # some files are broken
    assert sorted(json.loads(line)["path"] for line in output.read_text().splitlines()) == sorted(paths)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mvit_cli", *command, "--resume"], capture_output=True, text=True
    )
    assert " ray" not in done.stderr  # nothing to do: not even imported
    assert done.returncode == 1


def test_features_are_those_of_the_local_engine(folder: Path, tmp_path: Path) -> None:
    rows = []
    for name, where in (("local", ()), ("ray", ("--engine", "ray", "--batch-size", "1"))):
        output = tmp_path / f"{name}.jsonl"
        command = ["embed", str(folder), "--preset", "camera", "--stage", "scale2", "--window", "1", "-o", str(output)]
        assert run([*command, "--batch-size", "1", "--quiet", *where]) == 1  # some files are broken
        rows.append(compared(json.loads(line) for line in output.read_text().splitlines()))
    assert rows[1] == rows[0]
    assert {type(row["features"]) for row in rows[1]} == {list, type(None)}


def test_nobody_at_an_address_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(MViTError, match="nobody answers"), opened(plan(OPTIONS), Cluster(f"127.0.0.1:{port}")):
        pass
    assert time.monotonic() - started < 20
    with pytest.raises(UsageError, match="is no address"), opened(plan(OPTIONS), Cluster("somewhere")):
        pass


def test_no_cluster_where_one_is_asked_for_is_an_error() -> None:
    with pytest.raises(MViTError, match="--address auto: Ray cannot connect"), opened(plan(OPTIONS), Cluster("auto")):
        pass


WITH_A_TOKEN = """
import os, subprocess, sys
from ray.cluster_utils import Cluster
size = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
machines = Cluster(initialize_head=True, head_node_args=size)
try:
    command = [sys.executable, "-m", "mvit_cli", *sys.argv[1:], "--address", machines.address]
    done = subprocess.run(command, env=os.environ | {"RAY_AUTH_TOKEN": "b" * 64}, capture_output=True, text=True)
    print(done.returncode, done.stderr)
finally:
    machines.shutdown()
"""


def test_a_wrong_token_is_told(tmp_path: Path) -> None:
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    command = ["predict", str(CLIPS / "rot90.mp4"), "--preset", "camera", "--engine", "ray"]
    program = [sys.executable, "-c", WITH_A_TOKEN, *command]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith("1 ")
    assert "Ray cannot connect" in done.stdout
    assert "RAY_AUTH_MODE and the token" in done.stdout
    assert "aaaa" not in done.stdout
    assert "bbbb" not in done.stdout


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = engine.versions(plan(OPTIONS))
    monkeypatch.setattr(engine, "versions", lambda plan: real | {"torch": "1.0"})
    with pytest.raises(MViTError, match=r"has torch .*, here is 1\.0"), opened(plan(OPTIONS), Cluster()):
        pass


def test_what_an_actor_cannot_open_is_told_as_here(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    options = PredictOptions(weights=tmp_path / "broken.safetensors")
    with pytest.raises(MViTError) as there, opened(plan(options), Cluster()):
        pass
    with pytest.raises(MViTError) as here:
        plan(options).open()
    assert str(there.value) == str(here.value)
