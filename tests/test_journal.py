"""What the rows of an earlier run leave to be done."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from journal_rows import RUN, error, ok, read_rows, write_rows

from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.media.request import Window, Windows, hold_note
from mvit_cli.recognition.journal import Journal, read_journal
from mvit_cli.recognition.listing import Listing

Captured = pytest.CaptureFixture[str]


def left(journal: Journal, *names: str) -> list[str]:
    return [source.path for source in journal.remaining(Listing(tuple(names))) or ()]


class TestWhatIsLeft:
    def test_of_no_file_everything(self, tmp_path: Path) -> None:
        journal = read_journal(tmp_path / "rows.jsonl")
        assert left(journal, "a", "b") == ["a", "b"]
        assert not journal.path.exists()

    def test_errors_have_their_row_too(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", ok("a"), error("b"))
        journal = read_journal(file)
        assert left(journal, "a", "b", "c") == ["c"]
        assert (journal.ok, journal.failed, journal.skipped) == (1, 1, 2)

    def test_errors_are_done_again_where_that_is_asked(self, tmp_path: Path) -> None:
        journal = read_journal(write_rows(tmp_path / "rows.jsonl", ok("a"), error("b")), retry_errors=True)
        assert left(journal, "a", "b", "c") == ["b", "c"]

    def test_errors_of_inputs_that_are_not_named_again_stay(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", error("a"), ok("b"), error("c"), error("a"))
        journal = read_journal(file, retry_errors=True)
        assert left(journal, "a", "b", "d") == ["a", "d"]
        journal.open().close()
        assert read_rows(file) == [ok("b"), error("c")]
        assert journal.failed == 1

    def test_names_that_can_be_read_once_only_are_enough_to_retry(self, tmp_path: Path) -> None:
        (tmp_path / "names").write_text("a\nb\n")
        reader, writer = os.pipe()
        os.write(writer, b"a\nnowhere/*.mp4\n")
        os.close(writer)
        journal = read_journal(write_rows(tmp_path / "rows.jsonl", error("a")), retry_errors=True)
        sources = list(journal.remaining(Listing((f"@/dev/fd/{reader}",))) or ())
        os.close(reader)
        assert [source.path for source in sources] == ["a", "nowhere/*.mp4"]
        assert [source.error and source.error.kind for source in sources] == ["not_found", "not_found"]

    def test_each_row_stands_for_one_of_equal_inputs(self, tmp_path: Path) -> None:
        journal = read_journal(write_rows(tmp_path / "rows.jsonl", ok("a"), ok("b"), ok("a")))
        assert left(journal, "a", "a", "a", "b", "b") == ["a", "b"]

    def test_none_is_said_before_a_network_is_needed(self, tmp_path: Path) -> None:
        journal = read_journal(write_rows(tmp_path / "rows.jsonl", ok("a")))
        assert journal.remaining(Listing(("a",))) is None
        assert journal.skipped == 1

    def test_a_name_that_is_no_utf8_is_found_again(self, tmp_path: Path) -> None:
        name = os.fsdecode(b"caf\xe9.mp4")
        assert left(read_journal(write_rows(tmp_path / "rows.jsonl", ok(name))), name, "b") == ["b"]

    def test_memory_holds_a_digest_a_row(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.jsonl"
        with file.open("w") as stream:
            for number in range(1000):
                stream.write(json.dumps(ok(f"{number}", padding="x" * 10_000)) + "\n")
        tracemalloc.start()
        journal = read_journal(file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert journal.ok == 1000
        assert peak < 1_000_000  # the file has 10 MB, its digests 0.15 MB


def piece(path: str, start_s: float, end_s: float, duration_s: float = 9.0) -> dict:
    return ok(path) | {"window": {"start_s": start_s, "end_s": end_s}, "duration_s": duration_s}


def lost(path: str, start_s: float, end_s: float, duration_s: float = 9.0) -> dict:
    return error(path) | {"window": {"start_s": start_s, "end_s": end_s}, "duration_s": duration_s}


def held(path: str, start_s: float, end_s: float) -> dict:
    """A row for several windows of 4 s every 2 s, in which one frame stands."""
    window = Window(3, start_s, end_s, 9.0, end_s == 9.0)
    return piece(path, start_s, end_s) | {"warnings": ["too short", hold_note(window, 2)]}


FIRST = [piece("a", 0, 4), piece("a", 2, 6)]
REST = [piece("a", 4, 8), piece("a", 6, 9)]


class TestWindows:
    """Windows of 4 s every 2 s, of a video of 9 s: four of them."""

    WINDOWS = Windows(4.0, 2.0)

    def left(self, file: Path, *names: str, retry: bool = False) -> list[tuple[str, int]]:
        journal = read_journal(file, self.WINDOWS, retry_errors=retry)
        found = [(source.path, source.first_window) for source in journal.remaining(Listing(tuple(names))) or ()]
        if retry:
            journal.open().close()
        return found

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            ([], [("a", 0), ("b", 0)]),
            (FIRST, [("a", 2), ("b", 0)]),
            ([*FIRST, *REST], [("b", 0)]),
            ([*FIRST, *REST[:1], piece("b", 0, 4)], [("a", 3), ("b", 1)]),
            ([*FIRST, lost("a", 4, 9)], [("b", 0)]),  # of what is left of a file one error
            ([piece("a", 0, 4), lost("a", 2, 6), *REST], [("b", 0)]),
            ([lost("a", 0, 8)], [("a", 3), ("b", 0)]),  # three in a row
            ([piece("a", 0, 3, 3.0)], [("b", 0)]),
            ([error("a") | {"window": None}], [("b", 0)]),
            ([*FIRST, error("a") | {"window": None}], [("b", 0)]),
            ([FIRST[0], held("a", 2, 8)], [("a", 3), ("b", 0)]),  # two in which one frame stands
            ([held("a", 0, 9)], [("b", 0)]),
        ],
    )
    def test_an_input_goes_on_behind_its_last_row(self, tmp_path: Path, rows: list[dict], expected: list) -> None:
        assert self.left(write_rows(tmp_path / "rows.jsonl", *rows), "a", "b") == expected

    def test_an_input_that_is_named_twice_is_done_twice(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", *FIRST, *REST, *FIRST)
        assert self.left(file, "a", "a", "a") == [("a", 2), ("a", 0)]
        file = write_rows(tmp_path / "rows.jsonl", *FIRST, *FIRST[:1])
        assert sorted(self.left(file, "a", "a", "a")) == [("a", 0), ("a", 1), ("a", 2)]

    def test_rows_that_came_with_a_later_run_belong_to_their_input(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", *FIRST, piece("b", 0, 4), *REST)
        assert self.left(file, "a", "b") == [("b", 1)]

    @pytest.mark.parametrize(
        ("rows", "stay", "again"),
        [
            ([*FIRST, lost("a", 4, 9)], FIRST, 2),
            ([FIRST[0], lost("a", 2, 6), *REST], FIRST[:1], 1),
            ([lost("a", 0, 4), FIRST[1], *REST], [], 0),
            ([error("a") | {"window": None}], [], 0),
            ([*FIRST, *REST, *FIRST, lost("a", 4, 9)], [*FIRST, *REST, *FIRST], 2),
        ],
    )
    def test_to_retry_an_error_means_to_go_on_from_there(
        self, tmp_path: Path, rows: list[dict], stay: list[dict], again: int
    ) -> None:
        file = write_rows(tmp_path / "rows.jsonl", piece("x", 0, 3, 3.0), *rows, lost("y", 0, 9))
        assert self.left(file, "x", *["a"] * (1 + (len(rows) > 4)), retry=True) == [("a", again)]
        assert read_rows(file) == [piece("x", 0, 3, 3.0), *stay, lost("y", 0, 9)]

    @pytest.mark.parametrize(
        "row",
        [
            ok("a"),
            error("a"),
            piece("a", 0, 5),
            piece("a", 1, 5),
            piece("a", 2, 6),
            piece("a", 0, 9),
            piece("a", 0, 3),
            lost("a", 0, 5),
            lost("a", 1, 9),
            held("a", 0, 5),
            held("a", 2, 6),
        ],
    )
    def test_rows_of_another_cut_are_refused(self, tmp_path: Path, row: dict) -> None:
        file = write_rows(tmp_path / "rows.jsonl", piece("x", 0, 4), row)
        with pytest.raises(UsageError, match=r"line 2 of .*rows\.jsonl is not of this run's --window and --hop"):
            read_journal(file, self.WINDOWS)

    def test_rows_in_windows_are_refused_by_a_run_without(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"line 1 of .* is not of this run's --window and --hop"):
            read_journal(write_rows(tmp_path / "rows.jsonl", *FIRST))


class TestTornLine:
    @pytest.mark.parametrize("torn", [b"{", b'{"path": "c", "sta', json.dumps(ok("c")).encode()])
    def test_is_cut_off_and_its_input_done_again(self, tmp_path: Path, torn: bytes) -> None:
        file = write_rows(tmp_path / "rows.jsonl", ok("a"), ok("b"), torn=torn)
        journal = read_journal(file)
        assert left(journal, "a", "b", "c") == ["c"]
        with journal.open() as stream:
            stream.write(json.dumps(ok("c")).encode() + b"\n")
        assert read_rows(file) == [ok("a"), ok("b"), ok("c")]

    def test_is_cut_off_together_with_errors(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", error("a"), ok("b"), torn=b'{"path": ')
        file.chmod(0o640)
        journal = read_journal(file, retry_errors=True)
        assert left(journal, "a") == ["a"]
        journal.open().close()
        assert read_rows(file) == [ok("b")]
        assert file.stat().st_mode & 0o777 == 0o640
        assert list(tmp_path.iterdir()) == [file]

    def test_reading_changes_nothing(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", error("a"), torn=b"{")
        before = file.read_bytes()
        read_journal(file, retry_errors=True)
        assert file.read_bytes() == before

    @pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
    def test_what_another_run_is_just_writing_is_not_cut_off(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", ok("a"))
        with read_journal(file).open() as stream:
            stream.write(b'{"path": "b", ')
            stream.flush()
            for take in (Journal.open, Journal.repair):
                with pytest.raises(MViTError, match="another run writes to it"):
                    take(read_journal(file))
            assert file.read_bytes().endswith(b'{"path": "b", ')
        read_journal(file).repair()
        assert read_rows(file) == [ok("a")]

    def test_a_file_that_has_grown_since_it_was_read_is_left_alone(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", ok("a"), error("b"))
        journal = read_journal(file, retry_errors=True)
        write_rows(file, ok("a"), error("b"), ok("c"))
        with pytest.raises(MViTError, match="another run writes to it"):
            journal.open()
        assert read_rows(file) == [ok("a"), error("b"), ok("c")]

    @pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "rows.jsonl", error("a"), ok("b"))
        (tmp_path / "link").symlink_to(file)
        journal = read_journal(tmp_path / "link", retry_errors=True)
        assert left(journal, "a") == ["a"]
        journal.open().close()
        assert (tmp_path / "link").is_symlink()
        assert read_rows(file) == [ok("b")]


class TestRefusals:
    @pytest.mark.parametrize(
        "text",
        [
            b"notes of mine",
            b"notes of mine\n",
            b"[]\n",
            b'{"path": "a"}\n',
            b'{"path": "a", "status": []}\n',
            b'{"path": 1, "status": "error"}\n',
            json.dumps(ok("a") | {"window": {"start_s": 0, "end_s": 1}}).encode() + b"\n",
            json.dumps(ok("a") | {"window": None}).encode() + b"\n",
            json.dumps(ok("a") | {"window": {"start_s": 0, "end_s": "1"}, "duration_s": 1}).encode() + b"\n",
            b"\xff\xfe\n",
            b"\n",
        ],
    )
    def test_a_file_of_something_else_is_refused_and_kept(self, tmp_path: Path, text: bytes) -> None:
        file = tmp_path / "rows.jsonl"
        file.write_bytes(json.dumps(error("x")).encode() + b"\n" + text)
        with pytest.raises(UsageError, match=r"line 2 of .*rows\.jsonl is no row"):
            read_journal(file)
        assert file.read_bytes().endswith(text)

    @pytest.mark.parametrize("name", ["preset", "weights", "views"])
    def test_another_run_is_refused_with_both_names(self, tmp_path: Path, name: str) -> None:
        file = write_rows(tmp_path / "rows.jsonl", error("x"), ok("a"), ok("b", **{name: "other"}))
        with pytest.raises(UsageError, match=f"line 3 .* has {name} other, and this run has {RUN[name]}"):
            read_journal(file).check(RUN)

    def test_the_same_run_goes_on(self, tmp_path: Path) -> None:
        journal = read_journal(write_rows(tmp_path / "rows.jsonl", ok("a"), error("b")))
        journal.check(RUN)
        journal.check(RUN | {"views": None})

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--resume"], "--resume needs --output"),
            (["--retry-errors", "--output", "rows.jsonl"], "--retry-errors needs --resume"),
            (["--resume", "--output", "rows.json"], "--resume cannot go on with --format json"),
            (["--resume", "--output", "rows.jsonl", "--format", "json"], "cannot go on with --format json"),
            (["--resume", "--output", "rows.jsonl", "--format", "table"], "cannot go on with --format table"),
            (["--resume", "--output", os.devnull], "is no regular file"),
        ],
    )
    def test_wrong_usage(
        self, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["predict", "x.mp4", *options]) == 2
        assert told in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
