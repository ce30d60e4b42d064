"""`--output` in parts, as Parquet, at an address: the rows of a plain run, whatever an earlier run left behind."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from mvit_cli.cli.main import run
from mvit_cli.cli.row_parts import address_of
from mvit_cli.records import ErrorRow, OkRow

Captured = pytest.CaptureFixture[str]
CLIPS = Path(__file__).parent / "data" / "clips"
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def predict(folder: Path, output: Path | str, *more: str) -> int:
    return run(["predict", str(folder), "--preset", "camera", "--batch-size", "1", "-o", str(output), *more])


def of_lines(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def untimed(rows: Any) -> list[dict[str, Any]]:
    return [row | ({"timing_ms": None} if row["status"] == "ok" else {}) for row in rows]


def of_parquet(*files: Path) -> list[Any]:
    from mvit_cli.recognition.parquet_rows import rows_in

    return [row for file in files for row in rows_in(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven files, the second and the fifth of which are broken; one name is no UTF-8 where the system has such."""
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(7):
        target = folder / f"{number}.mp4"
        if number in (1, 4):
            target.write_text("not a video")
        else:
            shutil.copy(CLIPS / "rot90.mp4", target)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    output = tmp_path_factory.mktemp("whole") / "rows.jsonl"
    assert predict(folder, output, "-q") == 1
    return untimed(of_lines(output))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_have_so_many_rows_each(folder: Path, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    assert predict(folder, tmp_path / "rows.jsonl", "-q", "--output-parts", "3") == 1
    assert names(tmp_path) == [f"rows.0000{number}.jsonl" for number in range(3)]
    parts = [of_lines(tmp_path / name) for name in names(tmp_path)]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert untimed(row for part in parts for row in part) == whole


def test_windows_of_an_input_stay_in_its_part(folder: Path, tmp_path: Path) -> None:
    assert predict(folder, tmp_path / "rows.jsonl", "-q", "--output-parts", "2", "--window", "0.7") == 1
    parts = [{row["path"] for row in of_lines(tmp_path / name)} for name in names(tmp_path)]
    assert len(parts) > 2
    assert sum(map(len, parts)) == 7  # no input is in two


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_run_goes_on_with_its_parts(
    format: str, folder: Path, whole: list[dict[str, Any]], tmp_path: Path, capsys: Captured
) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"rows.{format}"
    assert predict(folder, output, "-q", "--output-parts", "3") == 1
    # As a run leaves it that was killed in the middle of the second part and of a row.
    text = json.dumps(whole[3]) + '\n{"path": "torn'
    (tmp_path / f"rows.00002.{format}").unlink()
    if format == "parquet":
        (tmp_path / "rows.00001.parquet").unlink()
        (tmp_path / "rows.00001.parquet.part").write_text(text)
    else:
        (tmp_path / "rows.00001.jsonl").write_text(text)
    assert predict(folder, output, "--output-parts", "3", "--resume") == 1
    assert "7 inputs: 2 ok, 1 failed (decode 1), 4 skipped (done before)" in capsys.readouterr().err
    assert names(tmp_path) == [f"rows.0000{number}.{format}" for number in range(3)]
    read = of_parquet if format == "parquet" else of_lines
    assert untimed(read(*(tmp_path / name for name in names(tmp_path)))) == whole
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    assert predict(folder, output, "-q", "--output-parts", "3", "--resume") == 1
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    # Errors of full parts are done again, each part without them is put in its place all at once.
    assert predict(folder, output, "-q", "--output-parts", "3", "--resume", "--retry-errors") == 1
    again = untimed(read(*(tmp_path / name for name in names(tmp_path))))
    assert sorted(again, key=lambda row: row["path"]) == whole
    assert [Path(row["path"]).name[0] for row in again] == ["0", "2", "3", "5", "6", "1", "4"]


def test_what_is_there_is_replaced_only_with_force(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "rows.jsonl"
    assert predict(folder, output, "-q", "--output-parts", "2") == 1
    assert predict(folder, output, "-q", "--output-parts", "5") == 2
    assert "rows.00000.jsonl has rows already" in capsys.readouterr().err
    assert predict(folder, output, "-q", "--output-parts", "5", "--force") == 1
    assert names(tmp_path) == ["rows.00000.jsonl", "rows.00001.jsonl"]  # no part of the first run is left
    (tmp_path / "rows.00001.jsonl").write_text("my notes\n")
    assert predict(folder, output, "-q", "--output-parts", "5", "--force") == 2
    assert "is none of rows" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--window", "0.7")])
def test_parquet_has_the_rows_without_loss(more: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        assert predict(folder, tmp_path / name, "-q", *more) == 1
    lines = of_lines(tmp_path / "rows.jsonl")
    assert untimed(of_parquet(tmp_path / "rows.parquet")) == untimed(lines)
    assert names(tmp_path) == ["rows.jsonl", "rows.parquet"]
    table = parquet.read_table(tmp_path / "rows.parquet").to_pydict()
    assert table["path"] == [row["path"] for row in lines]
    assert [(best or [{"label": None}])[0]["label"] for best in table["predictions"]] == [
        row["predictions"][0]["label"] if row["status"] == "ok" else None for row in lines
    ]


def test_parquet_has_a_column_for_every_key_of_a_row() -> None:
    pytest.importorskip("pyarrow")
    from mvit_cli.recognition.parquet_rows import schema_of_rows

    assert set(schema_of_rows().names) == {*get_type_hints(OkRow), *get_type_hints(ErrorRow)}


def test_names_that_are_no_unicode_come_back_from_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from mvit_cli.recognition.digests import digest_of
    from mvit_cli.recognition.journal import read_journal
    from mvit_cli.recognition.parquet_rows import packed
    from mvit_cli.report.predict.writers import row_json

    row: Any = {"path": "caf\udce9.mp4", "status": "error", "error": {"kind": "decode", "message": "broken"}}
    (tmp_path / "rows.parquet.part").write_bytes(row_json(row) + b"\n")
    packed(tmp_path / "rows.parquet.part", tmp_path / "rows.parquet")
    journal = read_journal(tmp_path / "rows.parquet.part", earlier=[tmp_path / "rows.parquet"])
    assert list(journal._kept.done) == [digest_of("caf\udce9.mp4")]


def test_a_run_goes_on_with_a_file_of_parquet(folder: Path, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    output, begun = tmp_path / "rows.parquet", tmp_path / "rows.parquet.part"
    (tmp_path / "some").mkdir()
    for path in sorted(folder.iterdir())[:3]:
        shutil.copy(path, tmp_path / "some")
    assert run(["predict", *map(str, sorted(folder.iterdir())[:3]), "--preset", "camera", "-q", "-o", str(output)]) == 1
    # The run ended after the file was put in its place and before its lines were removed: nothing twice.
    first = of_parquet(output)
    output.unlink()
    begun.write_text("".join(json.dumps(row) + "\n" for row in first))
    text = begun.read_bytes()
    assert predict(folder, output, "-q", "--resume") == 1
    assert untimed(of_parquet(output)) == whole
    made = output.read_bytes()
    from mvit_cli.recognition.parquet_rows import packed

    output.unlink()
    begun.write_bytes(text)
    packed(begun, output)
    begun.write_bytes(text)
    assert predict(folder, output, "-q", "--resume") == 1
    assert untimed(of_parquet(output)) == whole
    assert len(made) > 0
    assert not begun.exists()


def test_what_is_no_parquet_of_rows_is_refused(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and no more")
    assert predict(folder, tmp_path / "rows.parquet", "-q", "--resume") == 2
    assert "is no Parquet of rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "rows.csv", "--output-parts", "3"], "--output-parts is for JSON lines and Parquet, not for csv"),
        (["--output-parts", "3"], "--output-parts needs --output"),
        (["--format", "parquet"], "--format parquet needs --output"),
        (["-o", "rows.jsonl", "--format", "parquet"], "does not say that it is parquet"),
        (["-o", "rows.parquet", "--format", "jsonl"], "does not say that it is jsonl"),
        (["-o", "memory://b/rows.csv"], "is an address, which is for JSON lines and Parquet"),
        (["-o", "nosuch://b/rows.jsonl"], "--output nosuch://: Protocol not known: nosuch"),
    ],
)
def test_wrong_usage_says_so(arguments: list[str], message: str, folder: Path, capsys: Captured) -> None:
    assert run(["predict", str(folder), "--preset", "camera", "-q", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_parquet_without_its_library_says_what_to_install(
    folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert predict(folder, tmp_path / "rows.parquet", "-q") == 1
    assert "pip install 'mvit[parquet]'" in capsys.readouterr().err


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A place in memory; a file that grows is sent with every row."""
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr("mvit_cli.recognition.remote_rows.EVERY_S", 0)
    monkeypatch.setattr("mvit_cli.recognition.remote_rows.SHARE", 0)
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/other.jsonl", b"of somebody else")
    yield files
    files.rm("/bucket", recursive=True)


def objects(files: Any) -> list[str]:
    return sorted(str(name).rpartition("/")[2] for name in files.ls("/bucket", detail=False))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
@pytest.mark.parametrize("parts", [(), ("--output-parts", "3")])
def test_rows_at_an_address(
    name: str, parts: tuple[str, ...], folder: Path, whole: list[dict[str, Any]], tmp_path: Path, there: Any
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    address = f"memory://bucket/{name}"
    stem, suffix = name.split(".")
    expected = [f"{stem}.{number:05}.{suffix}" for number in range(3)] if parts else [name]

    def rows() -> list[dict[str, Any]]:
        local = [tmp_path / name for name in expected]
        for path in local:
            path.write_bytes(there.cat_file(f"/bucket/{path.name}"))
        return untimed((of_parquet if suffix == "parquet" else of_lines)(*local))

    assert predict(folder, address, "-q", *parts) == 1
    assert objects(there) == ["other.jsonl", *expected]
    assert rows() == whole
    assert predict(folder, address, "-q", *parts) == 2  # rows are there already
    # As a run leaves it that was killed: the file that grows was sent a few rows ago.
    begun = f"{expected[-1]}.part" if suffix == "parquet" else expected[-1]
    there.rm_file(f"/bucket/{expected[-1]}")
    kept = whole[6:] if parts else whole[:4]
    there.pipe_file(f"/bucket/{begun}", "".join(json.dumps(row) + "\n" for row in kept).encode())
    assert predict(folder, address, "-q", "--resume", *parts) == 1
    assert objects(there) == ["other.jsonl", *expected]
    assert rows() == whole
    assert predict(folder, address, "-q", "--force", *parts) == 1
    assert rows() == whole


def test_rows_that_cannot_be_sent_are_not_lost(
    folder: Path, tmp_path: Path, there: Any, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("https://key:secret@bucket/?signature=secret")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(type(there), "put_file", refused)
    assert predict(folder, "memory://bucket/rows.jsonl", "-q") == 1
    told = capsys.readouterr().err
    assert "--output memory://bucket/rows.jsonl cannot be written: PermissionError" in told
    assert "secret" not in told
    (left,) = tmp_path.glob("mvit-rows-*/rows.jsonl*")
    assert f"rows that could not be sent are in {left.parent}" in told
    assert len(of_lines(left)) == 1  # it did not go on without a place for its rows


@pytest.mark.parametrize("address", ["s3://key:secret@bucket/rows.jsonl", "https://host/rows.jsonl?token=secret"])
def test_an_address_with_a_secret_is_refused_without_telling_it(address: str, folder: Path, capsys: Captured) -> None:
    assert predict(folder, address, "-q") == 2
    told = capsys.readouterr().err
    assert "the environment" in told
    assert "secret" not in told


def test_what_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address_of(Path("s3://bucket/a/rows.jsonl")) == "s3://bucket/a/rows.jsonl"
    assert address_of(Path("file:///tmp/rows.jsonl")) == "file:///tmp/rows.jsonl"
    assert [address_of(Path(name)) for name in ("rows.jsonl", "C:/rows.jsonl", "a/b:c/rows")] == [None] * 3
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)  # a folder may be called so
    assert address_of(Path("s3:/bucket/rows.jsonl")) is None
