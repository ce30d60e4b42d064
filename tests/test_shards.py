"""`--shard` and `mvit merge`: parts of the inputs, done apart, are the whole again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.cli.main import run
from mvit_cli.cli.parts import parsed_shard, part_not_taken
from mvit_cli.errors import UsageError
from mvit_cli.recognition.listing import Listing, Shard

CLIPS = Path(__file__).parent / "data" / "clips"


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 9))
def test_parts_are_disjoint_and_complete(paths: list[str], count: int) -> None:
    parts = [[path for path in paths if Shard(index, count).has(path)] for index in range(count)]
    assert sorted(path for part in parts for path in part) == sorted(paths)


def test_parts_are_of_a_size_and_a_path_stays_in_its_part() -> None:
    paths = [f"clips/{number:06}.mp4" for number in range(8000)]
    sizes = [sum(map(Shard(index, 8).has, paths)) for index in range(8)]
    # 1000 each, give or take four deviations of a binomial: sqrt(8000 / 8 * 7 / 8) = 30.
    assert all(880 < size < 1120 for size in sizes)
    # Known once and for all: another run, on another machine, of another version must decide the same.
    assert [index for index in range(8) if Shard(index, 8).has("clips/000000.mp4")] == [4]
    assert [index for index in range(8) if Shard(index, 8).has("Straße/ü\udcff.mp4")] == [7]


def test_a_listing_gives_its_part_and_counts_it(tmp_path: Path) -> None:
    names = tuple(f"{number}.mp4" for number in range(50))
    (tmp_path / "list.txt").write_text("\n".join(names))
    for listed in (names, (f"@{tmp_path / 'list.txt'}",)):
        parts = [Listing(listed, shard=Shard(index, 3)) for index in range(3)]
        found = [[source.path for source in part.sources()] for part in parts]
        assert sorted(path for part in found for path in part) == sorted(names)
        assert [count() for part in parts if (count := part.counter())] == [len(part) for part in found]


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("0/4", {}, "0/4"),
        ("3/4", {"RANK": "1", "WORLD_SIZE": "2"}, "3/4"),
        ("auto", {"RANK": "1", "WORLD_SIZE": "2"}, "1/2"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "8"}, "5/8"),
        # --array=10-16:2
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_MAX": "16",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "4",
            },
            "2/4",
        ),
        ("auto/6", {"JOB_COMPLETION_INDEX": "4"}, "4/6"),
    ],
)
def test_a_part_is_named_or_told_by_the_job(text: str, environment: dict[str, str], shard: str) -> None:
    assert str(parsed_shard(text, environment)) == shard


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4", "there is no part 4 of 4: parts count from 0"),
        ("1", "no part of a whole"),
        ("-1/4", "no part of a whole"),
        ("0/0", "there is no part 0 of 0"),
        ("auto", "the environment tells no part"),
        ("auto/4", "the environment tells no part"),
    ],
)
def test_what_is_no_part_says_so(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parsed_shard(text, {})


def test_an_index_without_a_number_of_parts_says_so() -> None:
    with pytest.raises(UsageError, match="tells no number of parts"):
        parsed_shard("auto", {"JOB_COMPLETION_INDEX": "4"})


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "1", "WORLD_SIZE": "4"}, "this is part 1 of 4 of a job, and all inputs are done here"),
        ({"JOB_COMPLETION_INDEX": "3"}, "this is part 3 of a job, and all"),
    ],
)
def test_a_part_is_not_taken_unasked_and_that_is_told(environment: dict[str, str], told: str | None) -> None:
    note = part_not_taken(environment)
    assert note is None if told is None else told in (note or "")


def predicted(tmp_path: Path, name: str, *more: str) -> list[dict[str, Any]]:
    output = tmp_path / name
    assert run(["predict", str(CLIPS), "--preset", "camera", "-o", str(output), "--quiet", *more]) in (0, 1)
    return [json.loads(line) | {"timing_ms": None} for line in output.read_text().splitlines()]


def test_parts_done_apart_are_the_whole_run(tmp_path: Path) -> None:
    whole = predicted(tmp_path, "whole.jsonl", "--batch-size", "1")
    for index in range(3):
        predicted(tmp_path, f"{index}.jsonl", "--shard", f"{index}/3", "--batch-size", "1")
    parts = [str(tmp_path / f"{index}.jsonl") for index in (2, 0, 1)]
    output = str(tmp_path / "merged.jsonl")
    assert run(["merge", *parts, "-o", output, "--inputs", str(CLIPS)]) == 0
    merged = [json.loads(line) | {"timing_ms": None} for line in Path(output).read_text().splitlines()]
    assert merged == whole  # in the order of the inputs, every one once, to the bit


def test_a_part_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = predicted(tmp_path, "1.jsonl", "--shard", "1/3")
    whole = (tmp_path / "1.jsonl").read_bytes()
    (tmp_path / "1.jsonl").write_bytes(whole[: len(whole) // 2])
    again = predicted(tmp_path, "1.jsonl", "--shard", "1/3", "--resume")
    assert [row["path"] for row in again] == [row["path"] for row in rows]


def row(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "status": "ok", "preset": "p", "weights": "w", "views": "1x1"} | more


def failed(path: str) -> dict[str, Any]:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": "broken"}}


def write(path: Path, *rows: dict[str, Any], torn: str = "") -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows) + torn)
    return str(path)


def merged(tmp_path: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code = run(["merge", *arguments, "-o", str(tmp_path / "out.jsonl"), "--force"])
    return code, [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_missing_repeated_and_unnamed_inputs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "1.jsonl", row("a"), failed("b"), row("z"))
    two = write(tmp_path / "2.jsonl", row("b"), row("c"), row("a", views="1x1"), torn='{"path": "d"')
    code, rows = merged(tmp_path, one, two, *(f"--inputs={name}" for name in "abcd"))
    assert code == 1
    assert [(one["path"], one["status"]) for one in rows] == [("a", "ok"), ("b", "ok"), ("c", "ok")]
    told = capsys.readouterr().err
    assert "3 rows, 0 of them errors" in told
    assert "1 inputs have no row: d" in told
    assert "2 inputs have rows in several files, those of the first that is ok are kept: a, b" in told
    assert "1 inputs have rows and were not named, they are left out: z" in told
    assert "2.jsonl: its last row is not whole" in told


def test_an_input_that_was_named_twice_keeps_both_rows(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", row("a"), row("a"), row("b"))
    assert [entry["path"] for entry in merged(tmp_path, one)[1]] == ["a", "a", "b"]
    assert merged(tmp_path, one, "--inputs=a", "--inputs=b", "--inputs=a")[0] == 0


def test_windows_of_one_input_stay_together(tmp_path: Path) -> None:
    def window(path: str, start: float, end: float) -> dict[str, Any]:
        return row(path, window={"start_s": start, "end_s": end}, duration_s=5.0)

    one = write(tmp_path / "1.jsonl", window("a", 0, 2), window("a", 2, 4), window("a", 4, 5), window("b", 0, 5.0))
    two = write(tmp_path / "2.jsonl", window("c", 0, 2), window("c", 2, 5))
    code, rows = merged(tmp_path, two, one, "--inputs=b", "--inputs=a", "--inputs=c")
    assert code == 0
    assert [(one["path"], one["window"]["start_s"]) for one in rows] == [
        ("b", 0), ("a", 0), ("a", 2), ("a", 4), ("c", 0), ("c", 2),
    ]  # fmt: skip
    other = write(tmp_path / "3.jsonl", window("d", 0, 1), window("d", 1, 2))
    assert run(["merge", one, other, "-o", str(tmp_path / "no.jsonl")]) == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (row("b", weights="v"), "has weights v, and line 1 of"),
        (row("b", views="5x1"), "has views 5x1"),
        (row("b", window={"start_s": 0.0, "end_s": 1.0}, duration_s=2.0), "has windows with"),
    ],
)
def test_rows_of_other_runs_are_refused(
    other: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write(tmp_path / "1.jsonl", row("a")), write(tmp_path / "2.jsonl", other)
    assert run(["merge", one, two, "-o", str(tmp_path / "out.jsonl")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_files_that_are_none_of_rows_and_outputs_that_are_inputs_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "1.jsonl", row("a"))
    (tmp_path / "text.txt").write_text("hello\n")
    assert run(["merge", one, str(tmp_path / "text.txt"), "-o", str(tmp_path / "out.jsonl")]) == 2
    assert "is no row of a file that `mvit predict` wrote" in " ".join(capsys.readouterr().err.split())
    assert run(["merge", one, "-o", one, "--force"]) == 2
    assert run(["merge", str(tmp_path / "none.jsonl"), "-o", str(tmp_path / "x.jsonl")]) == 1
    assert json.loads(Path(one).read_text()) == row("a")
