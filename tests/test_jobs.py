"""The job files of docs/scale.md: what a scheduler does with them, as far as this machine can do it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mvit_cli.cli.main import run
from mvit_cli.cli.parts import parsed_shard

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text(encoding="utf-8")
CLIPS = Path(__file__).parent / "data" / "clips"


def block_of(section: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"### {section}\n.*?```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize("tool", ["parallel", "xargs"])
def test_processes_side_by_side_give_one_row_a_clip(tool: str, tmp_path: Path) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not here")
    lines = [line for line in block_of("GNU parallel").splitlines() if line]
    (line,) = [line for line in lines if tool in line]
    joining = lines[-1]
    # A tiny network on the CPU, two processes instead of four; all else is as documented.
    mvit = f"{sys.executable} -m mvit_cli predict --preset camera"
    line = line.replace("CUDA_VISIBLE_DEVICES={} ", "").replace("--device cuda ", "").replace("mvit predict", mvit)
    line = line.replace("-j4", "-j2").replace("-P4", "-P2").replace("{}/4", "{}/2").replace("seq 0 3", "seq 0 1")
    line = line.replace("::: 0 1 2 3", "::: 0 1")
    clips = sorted(map(str, CLIPS.iterdir()))
    (tmp_path / "list.txt").write_text("\n".join(clips))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode, "two clips are broken, and the tool says that commands failed"
    again = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "skipped (done before)" in again.stderr
    joining = joining.replace("mvit ", f"{sys.executable} -m mvit_cli ")
    merged = subprocess.run(["bash", "-c", joining], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert merged.returncode == 0, merged.stderr
    rows = [json.loads(row) for row in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == clips


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not here")
def test_the_job_of_slurm_is_a_script_that_takes_its_part() -> None:
    script = block_of("Slurm")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    first, last = re.findall(r"#SBATCH --array=(\d+)-(\d+)", script)[0]
    told = {"SLURM_ARRAY_TASK_COUNT": str(int(last) - int(first) + 1), "SLURM_ARRAY_TASK_MIN": first}
    asked = re.findall(r"--shard (\S+)", script)[0]
    parts = {parsed_shard(asked, told | {"SLURM_ARRAY_TASK_ID": str(task)}) for task in range(int(last) + 1)}
    assert {part.index for part in parts} == set(range(int(last) + 1))


def test_the_job_of_kubernetes_has_a_part_for_each_index() -> None:
    job: Any = yaml.safe_load(block_of("Kubernetes"))
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    (command,) = container["args"]
    asked = re.findall(r"--shard (\S+)", command)[0]
    count = job["spec"]["completions"]
    parts = {str(parsed_shard(asked, {"JOB_COMPLETION_INDEX": str(index)})) for index in range(count)}
    assert parts == {f"{index}/{count}" for index in range(count)}
    if shutil.which("sh"):
        shown = subprocess.run(
            [*container["command"], f"echo {command}"],
            env={"JOB_COMPLETION_INDEX": "7"},
            capture_output=True,
            text=True,
        )
        assert "--output /data/rows.7.jsonl" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message", "way_out"),
    [
        (["--shard", "4/4"], "--shard 4/4: there is no part 4 of 4", "--shard 0/4 to --shard 3/4"),
        (["--engine", "ray", "--actors", "0"], "--actors 0 is no number of actors", "give one"),
    ],
)
def test_what_is_no_part_or_no_cluster_is_one_line_and_a_way_out(
    arguments: list[str], message: str, way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(CLIPS), "--preset", "camera", *arguments]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {message}")
    assert way_out in hint
