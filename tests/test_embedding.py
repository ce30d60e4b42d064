"""`mvit embed` and `mvit similar`: features of every input in three formats, resumed to the bit; cosine by loops."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.embedding import similar, vectors
from mvit_cli.embedding.vectors import Vectors, read_vectors
from mvit_cli.report.schema import schema_of

CLIP = Path(__file__).parent / "data" / "pan_left.mp4"
CLIPS = Path(__file__).parent / "data" / "clips"
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two that are the same, one that is another, and one that is bad."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.mp4", "c.mp4"):
        shutil.copy(CLIP, folder / name)
    (folder / "b.mp4").touch()
    shutil.copy(CLIPS / "seventeen_frames.mp4", folder / "d.mp4")
    return folder


def embed(*arguments: object, code: int = 0) -> None:
    assert run(["embed", *map(str, arguments), "--preset", "camera", "-q"]) == code


def needs(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".jsonl"])
def test_every_input_has_its_row_with_the_features_of_the_network(suffix: str, files: Path, tmp_path: Path) -> None:
    needs(suffix)
    output = tmp_path / f"index{suffix}"
    embed(files, "-o", output, code=1)
    found = read_vectors(output)
    assert [Path(path).name for path in found.paths] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert found.ok.tolist() == [True, False, True, True]
    assert np.isnan(found.features[1]).all()
    recogniser = mvit_cli.Recogniser("camera")
    expected = recogniser.features(recogniser.preprocess(files / "a.mp4")).mean(0).numpy()
    # The same float32 sums; a batch may add them in another order.
    np.testing.assert_allclose(found.features[0], expected, rtol=1e-4, atol=1e-5)
    assert found.features.dtype == np.float32
    assert found.facts["weights"] == "camera_motion.embedded"
    assert found.facts["weights_sha256"] is not None
    assert found.facts["sampling"]["frames"] == 16 or found.facts["sampling"]["frames"] == 8
    assert not vectors.part_of(output).exists() or suffix == ".jsonl"
    if suffix == ".npz":
        with np.load(output) as arrays:
            assert {"features", "paths", "status", "metadata"} <= set(arrays)
            assert arrays["status"].tolist() == ["ok", "error", "ok", "ok"]
            assert arrays["errors"][1].startswith("empty: ")


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".jsonl"])
def test_a_run_that_was_cut_off_in_a_row_goes_on_to_the_same_file(suffix: str, files: Path, tmp_path: Path) -> None:
    needs(suffix)
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"index{suffix}"
    embed(files, "-o", whole, code=1)
    lines = tmp_path / "lines.jsonl"
    embed(files, "-o", lines, code=1)
    rows = lines.read_bytes().splitlines(keepends=True)
    part = vectors.part_of(output)
    part.write_bytes(rows[0] + rows[1] + rows[2][:100])
    if suffix != ".jsonl":
        assert run(["embed", str(files), "-o", str(output), "--preset", "camera"]) == 2  # nothing is lost unasked
    embed(files, "-o", output, "--resume", code=1)
    one, other = read_vectors(whole), read_vectors(output)
    assert one.paths == other.paths
    np.testing.assert_array_equal(one.features, other.features)
    if suffix != ".jsonl":
        assert not part.exists()
    # And a finished file takes more inputs; its errors are done again.
    (files / "b.mp4").write_bytes(CLIP.read_bytes())
    shutil.copy(CLIP, files / "e.mp4")
    embed(files, "-o", output, "--resume", "--retry-errors")
    more = read_vectors(output)
    assert sorted(Path(path).name for path in more.paths) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
    assert more.ok.all()
    np.testing.assert_array_equal(more.features[0], one.features[0])


def test_windows_have_a_row_each_and_are_found_again(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "index.npz"
    embed(files / "a.mp4", files / "b.mp4", "-o", output, "--window", "1", "--dtype", "float16", code=1)
    found = read_vectors(output)
    assert found.windows[:3] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    assert np.isnan(found.windows[3]).all()
    assert found.features.dtype == np.float16
    embed(files / "a.mp4", files / "b.mp4", "-o", output, "--window", "1", "--dtype", "float16", "--resume", code=1)
    assert read_vectors(output).windows[:3] == found.windows[:3]
    assert run(["similar", str(output), str(files / "c.mp4"), "--top", "1"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["similar"][0]["window"] for answer in answers] == [answer["window"] for answer in answers]
    # The index is float16: a cosine is off by about 2^-11.
    assert all(answer["similar"][0]["score"] == pytest.approx(1, abs=2e-3) for answer in answers)


def test_a_stage_is_the_mean_of_its_grid(files: Path) -> None:
    (row,) = mvit_cli.embed([files / "a.mp4"], stage="scale3", preset="camera")
    assert row["status"] == "ok"
    recogniser = mvit_cli.Recogniser("camera")
    grids = recogniser.features(recogniser.preprocess(files / "a.mp4"), "scale3")
    np.testing.assert_allclose(row["features"], grids.flatten(2).mean(2).mean(0).numpy(), rtol=1e-4, atol=1e-5)


def test_rows_are_what_the_schema_says(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import jsonschema

    output = tmp_path / "rows.jsonl"
    embed(files, "-o", output, code=1)
    for line in output.read_text().splitlines():
        jsonschema.Draft202012Validator(schema_of("embed")).validate(json.loads(line))
    capsys.readouterr()
    assert run(["similar", str(output), str(files), "-q"]) == 1
    assert run(["similar", str(output), "--duplicates"]) == 0
    for line in capsys.readouterr().out.splitlines():
        jsonschema.Draft202012Validator(schema_of("similar")).validate(json.loads(line))


def test_duplicates_are_found_and_only_those(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "index.npz"
    embed(files, "-o", output, code=1)
    assert run(["similar", str(output), "--duplicates", "--above", "0.9999"]) == 0
    (group,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(one["path"]).name for one in group["members"]] == ["a.mp4", "c.mp4"]
    assert group["lowest"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed", "{files}", "-o", "x.csv"], ".npz, .parquet or .jsonl"),
        (["embed", "{files}", "-o", "{index}", "--preset", "camera"], "--force replaces"),
        (["embed", "{files}", "-o", "new.npz", "--preset", "camera", "--stage", "scale9"], "none of cube1, scale2"),
        (["embed", "{files}", "-o", "{index}", "--preset", "camera", "--resume", "--stage", "scale2"], "stage None"),
        (["embed", "{files}", "-o", "new.npz", "--engine", "onnx", "--preset", "camera"], "'local', 'ray'"),
        (["similar", "{index}"], "one of the two"),
        (["similar", "{index}", "{other}"], "other features than the index"),
        (["similar", "nowhere.npz", "a.mp4"], "is not there"),
    ],
)
def test_wrong_usage_says_what_and_what_next(
    arguments: list[str], said: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, other = tmp_path / "index.npz", tmp_path / "other.jsonl"
    embed(files / "a.mp4", "-o", index)
    embed(files / "a.mp4", "-o", other, "--stage", "scale2")
    capsys.readouterr()
    assert run([text.format(index=index, other=other, files=files / "a.mp4") for text in arguments]) == 2
    assert said in capsys.readouterr().err
    assert read_vectors(index).ok.all()


def test_a_file_that_is_torn_is_an_error_that_says_so(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index.npz"
    embed(files / "a.mp4", "-o", index)
    index.write_bytes(index.read_bytes()[:-200])
    assert run(["similar", str(index), "--duplicates"]) == 1
    assert "cannot be read as features" in capsys.readouterr().err


# products


def drawn(rows: int, dims: int = 6, seed: int = 0) -> Vectors:
    features = np.random.default_rng(seed).normal(size=(rows, dims)).astype(np.float32)
    features[3] = np.nan
    ok = np.ones(rows, bool)
    ok[3] = False
    return Vectors({}, features, [f"{row}.mp4" for row in range(rows)], ok)  # type: ignore[typeddict-item]


def cosine(one: Any, other: Any) -> float:
    return float(sum(a * b for a, b in zip(one, other, strict=True)) / (sum(one**2) * sum(other**2)) ** 0.5)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr(similar, "BLOCK", size)


@pytest.mark.parametrize("block", [4, 7, 100])
def test_the_most_similar_rows_are_those_of_a_loop(block: int, small_blocks: Callable[[int], None]) -> None:
    small_blocks(block)
    index, queries = drawn(23), drawn(9, seed=1).features[4:]
    for query, found in zip(queries, similar.most_similar(index, queries, 4), strict=True):
        scores = {row: cosine(query, index.features[row]) for row in range(23) if row != 3}
        best = sorted(scores, key=lambda row: -scores[row])[:4]
        assert [one["path"] for one in found] == [f"{row}.mp4" for row in best]
        assert [one["score"] for one in found] == pytest.approx([scores[row] for row in best], abs=1e-5)


def test_a_row_without_features_is_like_nothing() -> None:
    index = drawn(23)
    (found,) = similar.most_similar(index, index.features[:1], 30)
    assert sorted(one["path"] for one in found) == sorted(path for path in index.paths if path != "3.mp4")


@pytest.mark.parametrize("block", [4, 7, 100])
def test_groups_are_those_of_a_loop_over_all_pairs(block: int, small_blocks: Callable[[int], None]) -> None:
    small_blocks(block)
    index = drawn(40, dims=3, seed=2)
    groups = [{row} for row in range(40)]
    for one in range(40):
        for other in range(one):
            if 3 in (one, other) or cosine(index.features[one], index.features[other]) < 0.97:
                continue
            first, second = (next(group for group in groups if row in group) for row in (one, other))
            if first is not second:
                groups.remove(second)
                first |= second
    expected = sorted(sorted(group) for group in groups if len(group) > 1)
    assert len(expected) > 2
    found = similar.duplicates(index, 0.97)
    assert [[int(one["path"].removesuffix(".mp4")) for one in group["members"]] for group in found] == expected
    assert all(group["lowest"] >= 0.97 - 1e-6 for group in found)


def test_very_many_rows_name_the_library_that_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert similar.many_note(drawn(5)) is None
    monkeypatch.setattr(similar, "MANY", 4)
    assert "FAISS" in str(similar.many_note(drawn(5)))
