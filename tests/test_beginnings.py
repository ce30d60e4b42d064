"""Rows read by their beginnings: the same as JSON says of them, or not believed."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.errors import UsageError
from mvit_cli.recognition.beginnings import beginnings, blocks
from mvit_cli.recognition.digests import Digests, digest_of
from mvit_cli.recognition.journal import read_journal
from mvit_cli.recognition.kept_rows import KeptRows, json_lines, read_rows
from mvit_cli.recognition.listing import Listing, Shard
from mvit_cli.report.predict.writers import row_json

RUN = {"preset": None, "weights": "w.pyth", "views": "5x1", "activation": "softmax"}


def ok(path: str, **changes: Any) -> Any:
    return {"path": path, "status": "ok", **RUN, "warnings": [], "timing_ms": {"decode": 1.0, "model": 2.0}} | changes


def failed(path: str) -> Any:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": "broken {"}}


def lines(*rows: Any) -> bytes:
    return b"".join(row_json(row) + b"\n" for row in rows)


def known(kept: KeptRows) -> tuple[Any, ...]:
    return sorted(kept.done), kept.failing, kept.ok, kept.failed, kept.first_of, kept.size, kept.end


def one_by_one(path: Path, retried: frozenset[bytes] = frozenset()) -> KeptRows:
    """Every line as JSON: the oracle."""
    return read_rows(path, lambda path: json_lines(path), retried=retried)


names = st.text(min_size=1) | st.sampled_from(["a.mp4", 'a"b', "a\\b", "Straße/ü.mp4", "\udcff.mp4", '{"path": ', "\0"])
rows = st.builds(ok, names, weights=st.sampled_from(["w.pyth", "v.pyth", 'w"x']), warnings=st.lists(st.text()))


@given(st.lists(rows | st.builds(failed, names)), st.sampled_from([b"", b'{"path": "tor', b'{"pa']), st.booleans())
def test_what_is_known_is_what_json_says(tmp_path_factory: Any, written: list[Any], torn: bytes, retry: bool) -> None:
    file = tmp_path_factory.getbasetemp() / "rows.jsonl"
    file.write_bytes(lines(*written) + torn)
    retried = frozenset(digest_of(row["path"]) for row in written[::2]) if retry else frozenset()
    fast, slow = read_rows(file, json_lines, retried=retried), one_by_one(file, retried)
    assert known(fast) == known(slow)


def test_rows_of_ours_are_believed_and_nothing_else_is() -> None:
    usual = lines(ok("a.mp4"), failed("b.mp4").copy() | {"error": {"kind": "decode", "message": "x"}}, ok("ü.mp4"))
    assert beginnings(usual) == [
        (b"a.mp4", b'"ok", "preset": null, "weights": "w.pyth", "views": "5x1'),
        (b"b.mp4", b""),
        ("ü.mp4".encode(), b'"ok", "preset": null, "weights": "w.pyth", "views": "5x1'),
    ]
    first = lines(ok("a.mp4"))
    for other in (
        first[:40] + lines(ok("b.mp4")),  # two rows that ran into each other
        first[:-10] + b"\n",  # the end is missing
        first[:-30] + b"\0" * 29 + b"\n",  # a block that a power failure left empty
        first.replace(b"a.mp4", b"a\xff.mp4"),  # no Unicode
        first.replace(b'"ok"', b'"OK"'),
        first.replace(b'"views": "5x1"', b'"views": 5'),
        first.replace(b'"path": "a.mp4"', b'"path": ""'),
        first.replace(b'"path": "a.mp4", ', b""),
        first.replace(b'{"path": "a.mp4"', b'{"x": 1, "path": "a.mp4"'),
        b"[" + first[:-1] + b"]\n",
        b"hello\n",
        first[:-1],
    ):
        assert beginnings(other) is None, other


def test_one_row_that_is_not_of_ours_does_not_hide_the_others(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(lines(ok("a"), ok('quo"ted'), failed("b")) + json.dumps(ok("c", weights="v")).encode() + b"\n")
    kept = read_rows(file, json_lines)
    assert known(kept) == known(one_by_one(file))
    assert kept.first_of == {("None", "w.pyth", "5x1"): (file, 1), ("None", "v", "5x1"): (file, 4)}
    file.write_bytes(lines(*[ok(f"{number}") for number in range(2000)]) + b"hello\n" + lines(ok("z")))
    with pytest.raises(UsageError, match=r"line 2001 of .* is no row"):
        read_rows(file, json_lines)


def test_blocks_are_the_file_and_end_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.recognition.beginnings.BLOCK_BYTES", 7)
    file = tmp_path / "file"
    for content in (b"", b"a\n", b"a\nbb\n" * 9 + b"torn", b"long line without an end", b"\n\n\n"):
        file.write_bytes(content)
        found = list(blocks(file))
        assert b"".join(found) == content
        assert all(block.endswith(b"\n") for block in found[:-1])


@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_digests_are_counted(put: list[int], asked: list[int]) -> None:
    # As long as digests are, of few different bytes: one begins within another and behind it.
    digests = [bytes([7, number % 2]) + bytes([number % 3]) * 14 for number in range(41)]
    bag, oracle = Digests(), Counter(digests[number] for number in put)
    bag.extend(digests[number] for number in put)
    for number in asked:
        assert (digests[number] in bag) == (oracle[digests[number]] > 0)
        assert bag.take(digests[number]) == (oracle[digests[number]] > 0)
        oracle[digests[number]] -= oracle[digests[number]] > 0
    assert Counter(bag) == +oracle


def test_what_is_done_is_not_looked_at_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{number}.mp4" for number in range(60)]
    names, file = tmp_path / "list.txt", tmp_path / "rows.jsonl"
    names.write_text("\n".join(paths))
    seen: list[str] = []
    exists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: seen.append(path) or exists(path))  # type: ignore[func-returns-value]
    for shard in (None, Shard(1, 3)):
        mine = [path for path in paths if shard is None or shard.has(path)]
        file.write_bytes(lines(*map(ok, mine[:-2]), failed(mine[-2])))
        seen.clear()
        left = read_journal(file).remaining(Listing((f"@{names}",), shard=shard))
        assert left is not None
        assert [source.path for source in left] == mine[-1:]
        looked = {path for path in seen if not path.startswith("@")}
        assert looked == {*mine[-2:], *paths} - set(mine[:-2])
    file.write_bytes(lines(*map(ok, paths)))
    journal = read_journal(file)
    assert journal.remaining(Listing((f"@{names}",))) is None  # and not: the list names no path
    assert journal.skipped == 60
