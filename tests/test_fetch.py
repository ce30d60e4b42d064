import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import FileServer, own_caches, some_weights

from mvit_cli.checkpoints.cards import Card, load_card
from mvit_cli.checkpoints.fetch import limits
from mvit_cli.checkpoints.fetch.caches import cache_home
from mvit_cli.checkpoints.fetch.integrity import sha256_of
from mvit_cli.checkpoints.fetch.locate import cache_dirs, fetch, fetch_uri, locate, verify
from mvit_cli.checkpoints.fetch.place import Source
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, DownloadError

WEIGHTS = some_weights()  # 1 MiB
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_caches(tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def url_card(server: FileServer, data: bytes = WEIGHTS, **known: Any) -> Card:
    server.files["/models/mvit.pth"] = data
    return replace(load_card("mvit_b_16x4.tv_k400"), source=Source(url=f"{server.url}/models/mvit.pth", **known))


# Files behind a URL


def test_a_url_is_downloaded_once_into_torchs_cache(server: FileServer, caches: Path) -> None:
    card = url_card(server, sha256_prefix=DIGEST[:8])
    assert locate(card) is None
    path = fetch(card)
    assert path == locate(card) == caches / "torch" / "hub" / "checkpoints" / "mvit.pth"
    assert path.read_bytes() == WEIGHTS
    server.stop()
    assert fetch(card) == path
    assert server.methods() == ["GET"]


def test_torch_home_moves_the_cache(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    assert fetch(url_card(server)).parent == tmp_path / "elsewhere" / "hub" / "checkpoints"


@pytest.mark.parametrize("known", [{"sha256": DIGEST}, {"sha256_prefix": DIGEST[:10]}])
def test_wrong_bytes_of_the_right_length_are_deleted_and_reported(server: FileServer, known: dict[str, str]) -> None:
    server.replaced = WEIGHTS[::-1]
    card = url_card(server, **known)
    with pytest.raises(DownloadError, match=r"is not the published one: its sha256 is") as caught:
        fetch(card)
    assert "deleted" in caught.value.message
    assert not [path for path in cache_dirs()["url"].rglob("*") if path.is_file() and ".locks" not in path.parts]
    server.replaced = None
    assert fetch(card).read_bytes() == WEIGHTS


def test_a_size_that_is_not_the_cards_is_refused(server: FileServer) -> None:
    with pytest.raises(DownloadError, match=f"it has {len(WEIGHTS)} bytes instead of 1000000"):
        fetch(url_card(server, size_bytes=1_000_000))


def test_a_server_that_sends_far_too_much_is_stopped(server: FileServer) -> None:
    with pytest.raises(DownloadError, match="sends more than 2000 bytes"):
        fetch(url_card(server, size_mb=0.001))


def test_a_cut_connection_is_continued_where_it_broke(server: FileServer) -> None:
    server.cut_after = [300_000, 300_000]
    path = fetch(url_card(server, sha256=DIGEST))
    assert path.read_bytes() == WEIGHTS
    ranges = [headers.get("range") for _, _, headers in server.requests]
    assert ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert server.requests[1][2]["if-range"] == f'"{DIGEST}"'
    assert sorted(path.name for path in cache_dirs()["url"].iterdir()) == [".locks", "mvit.pth"]


def test_what_another_run_left_is_continued(server: FileServer) -> None:
    server.cut_after = [300_000, 0]
    card = url_card(server, sha256=DIGEST)
    with pytest.raises(DownloadError, match=r"broke off after 300000 of 1048576 bytes") as caught:
        fetch(card)
    assert "continues" in caught.value.hint
    assert locate(card) is None
    assert fetch(card).read_bytes() == WEIGHTS
    assert server.requests[-1][2]["range"] == "bytes=300000-"


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_part(server: FileServer) -> None:
    server.cut_after = [300_000, 0]
    with pytest.raises(DownloadError):
        fetch(url_card(server))
    changed = some_weights(first=7)
    assert fetch(url_card(server, changed)).read_bytes() == changed
    assert "if-range" in server.requests[-1][2]


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer) -> None:
    server.cut_after = [300_000, 0]
    with pytest.raises(DownloadError):
        fetch(url_card(server))
    validator = cache_dirs()["url"] / "mvit.pth.part.etag"
    short = some_weights(1024)
    validator.write_text(f'"{hashlib.sha256(short).hexdigest()}"')
    assert fetch(url_card(server, short)).read_bytes() == short


def test_without_a_validator_nothing_is_continued(server: FileServer) -> None:
    server.announce_etag = False
    server.cut_after = [300_000]
    assert fetch(url_card(server)).read_bytes() == WEIGHTS
    assert [headers.get("range") for _, _, headers in server.requests] == [None, None]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "permission"), (403, "permission"), (404, "no file"), (500, "error"), (503, "error")]
)
def test_a_refusal_is_told_with_its_status(server: FileServer, status: int, words: str) -> None:
    server.refusals["/models/mvit.pth"] = (status, "")
    with pytest.raises(DownloadError, match=rf"{words}.*\({status}\)") as caught:
        fetch(url_card(server))
    assert caught.value.hint
    assert server.methods() == ["GET"]  # asked once


def test_a_refused_connection_says_what_was_tried_and_what_works(server: FileServer) -> None:
    card = url_card(server)
    server.stop()
    with pytest.raises(
        DownloadError, match=r"http://127\.0\.0\.1:\d+/models/mvit\.pth cannot be reached.*refused"
    ) as e:
        fetch(card)
    assert "--preset camera" in e.value.hint
    assert "--weights FILE" in e.value.hint


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(DownloadError, match=r"no answer within 0\.2 s"):
        fetch_uri(f"http://127.0.0.1:{mute.getsockname()[1]}/mvit.pth")


def test_the_wait_for_a_first_answer_leaves_room_below_five_seconds() -> None:
    assert limits.CONNECT_S <= 4  # start-up and imports take the rest


@pytest.mark.parametrize("switch", ["MVIT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_means_that_nobody_is_asked(server: FileServer, monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    card = url_card(server)
    monkeypatch.setenv(switch, "1")
    for call in (lambda: fetch(card), lambda: fetch_uri("hf://org/mvit/model.safetensors")):
        with pytest.raises(DownloadError, match=f"{switch} forbids"):
            call()
    monkeypatch.setenv(switch, "0")
    assert fetch(card).is_file()
    assert server.methods() == ["GET"]
    monkeypatch.setenv(switch, "1")
    assert fetch(card).is_file()


def test_a_redirect_to_another_host_carries_no_password(server: FileServer) -> None:
    with FileServer(files={"/cdn/blob": WEIGHTS}) as storage:
        server.redirects["/models/mvit.pth"] = f"{storage.url.replace('127.0.0.1', 'localhost')}/cdn/blob"
        path = fetch_uri(f"{server.url.replace('://', '://user:secret@')}/models/mvit.pth")
        assert path.read_bytes() == WEIGHTS
        assert server.requests[0][2]["authorization"].startswith("Basic ")
        assert "authorization" not in storage.requests[0][2]


@pytest.mark.parametrize("target", ["http://example.invalid/x", "ftp://127.0.0.1/x"])
def test_a_redirect_leads_only_where_a_first_address_may(server: FileServer, target: str) -> None:
    server.redirects["/models/mvit.pth"] = target
    with pytest.raises(DownloadError, match=rf"models/mvit\.pth leads astray: url '{target}' is not an https address"):
        fetch(url_card(server))
    assert locate(url_card(server)) is None


def test_a_redirect_to_a_file_of_this_machine_is_refused(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("x")
    server.redirects["/models/mvit.pth"] = (tmp_path / "private").as_uri()
    with pytest.raises(DownloadError):
        fetch(url_card(server))
    assert locate(url_card(server)) is None


def test_two_urls_with_one_file_name_do_not_collide(server: FileServer) -> None:
    server.files |= {f"/{place}/model.pth": some_weights(512, ord(place)) for place in "ab"}
    paths = [fetch_uri(f"{server.url}/{place}/model.pth") for place in "ab"]
    assert [path.read_bytes() for path in paths] == [some_weights(512, ord(place)) for place in "ab"]
    assert all(path.suffix == ".pth" and path.name.startswith("model-") for path in paths)


@pytest.mark.parametrize("name", ["..%2F..%2Fx.pth", "%2e%2e", ".bashrc", "a%00b.pth", "%5C..%5Cx", "x.pth?name=/../y"])
def test_no_url_leads_out_of_the_cache(server: FileServer, name: str) -> None:
    server.files[f"/{name.partition('?')[0]}"] = some_weights(512)
    path = fetch_uri(f"{server.url}/{name}")
    assert path.resolve().parent == cache_dirs()["url"].resolve()
    assert not path.name.startswith(".")


def test_a_cached_file_with_wrong_bytes_is_deleted_and_reported(server: FileServer) -> None:
    card = url_card(server, sha256=DIGEST)
    path = fetch(card)
    path.write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=r"not the published file.*deleted"):
        fetch(card)
    assert locate(card) is None


def test_a_digest_is_computed_once_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    digests: list[Any] = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: digests.append(a) or real(*a))
    assert sha256_of(path) == sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    assert len(digests) == 1
    sha256_of(path, again=True)
    assert len(digests) == 2
    path.write_bytes(b"three")
    assert sha256_of(path) == hashlib.sha256(b"three").hexdigest()


def test_verify_does_not_trust_its_memory(server: FileServer) -> None:
    card = url_card(server, sha256=DIGEST)
    with pytest.raises(DownloadError, match="not on this machine"):
        verify(card)
    path = fetch(card)
    assert verify(card) == path
    stat = path.stat()
    path.write_bytes(WEIGHTS[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a failing disk does
    with pytest.raises(DownloadError, match="not the published file"):
        verify(card)


def test_a_cache_that_cannot_be_written_is_named(server: FileServer, caches: Path) -> None:
    caches.mkdir()
    (caches / "torch").write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match=r"cannot write to .*checkpoints") as caught:
        fetch(url_card(server))
    assert "TORCH_HOME" in caught.value.hint


def test_progress_is_a_line_on_stderr_where_there_is_no_terminal(
    server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(url_card(server), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"downloading mvit_b_16x4.tv_k400 (1.0 MB) from {server.url}/models/mvit.pth"]


# Files inside the package


def test_an_embedded_checkpoint_is_checked_but_never_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.checkpoints.fetch.locate.weights_dir", lambda: tmp_path)
    card = replace(load_card("mvit_b_16x4.tv_k400"), source=Source(embedded="own.safetensors", sha256=DIGEST))
    with pytest.raises(CheckpointError, match="ships with mvit"):
        fetch(card)
    (tmp_path / "own.safetensors").write_bytes(WEIGHTS)
    assert fetch(card) == locate(card) == tmp_path / "own.safetensors"
    (tmp_path / "own.safetensors").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="is not the published file"):
        fetch(card)
    assert (tmp_path / "own.safetensors").exists()


OTHERS = {
    "a page": (b"<!DOCTYPE html><html><title>Sign in</title></html>", "an HTML page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "a Git LFS pointer"),
    "an answer": (b'{"error": "too many requests"}', "too many requests"),
    "nothing": (b"", "an empty file"),
    "the half of it": (some_weights()[:1000], "the numbers of 'a' are missing"),
    "the half of a header": (some_weights()[:60], "the file ends inside its header"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_whole_checkpoint_is_never_kept(server: FileServer, what: str) -> None:
    body, words = OTHERS[what]
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(url_card(server, body))
    assert "deleted" in caught.value.message
    assert locate(url_card(server)) is None
    assert not list(cache_dirs()["url"].glob("*.pth*"))
    assert fetch(url_card(server)).read_bytes() == WEIGHTS


@pytest.mark.parametrize("half", [True, False])
def test_a_torch_file_without_a_length_is_whole_or_not_kept(server: FileServer, tmp_path: Path, half: bool) -> None:
    import torch

    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pth")
    body = (tmp_path / "a.pth").read_bytes()
    server.without_length = True
    card = url_card(server, body[: len(body) // 2] if half else body)
    if not half:
        assert fetch(card).read_bytes() == body
        return
    with pytest.raises(DownloadError, match="no whole checkpoint"):
        fetch(card)
    assert locate(card) is None


def test_a_page_is_refused_by_its_type_before_it_is_read(server: FileServer) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="an HTML page"):
        fetch(url_card(server))
    assert not list(cache_dirs()["url"].glob("*.pth*"))


def test_a_file_is_downloaded_again_on_demand(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    for first in (1, 2):
        server.files["/a.pth"] = some_weights(512, first)
        assert run(["weights", "pull", "--force", f"{server.url}/a.pth"]) == 0
    assert Path(capsys.readouterr().out.splitlines()[-1]).read_bytes() == some_weights(512, 2)


def test_verify_says_how_a_bad_cached_file_is_replaced(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["/a.pth"] = some_weights(512)
    fetch_uri(f"{server.url}/a.pth").write_bytes(b"<html>")
    assert run(["weights", "verify", f"{server.url}/a.pth"]) == 1
    told = capsys.readouterr().err
    assert "an HTML page" in told
    assert f"hint: `mvit weights pull --force {server.url}/a.pth` replaces it" in told


def test_a_slow_first_answer_is_waited_for_and_said(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(limits, "CONNECT_S", 0.2)
    server.answers_after_s = 0.6
    assert fetch(url_card(server)).read_bytes() == WEIGHTS
    assert "slow to answer: waiting up to 30 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "read", "usual"), [("ETAG", limits.first_answer_s, 30), ("DOWNLOAD", limits.read_s, 30)]
)
def test_the_hubs_time_limits_are_heard(
    monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[], float], usual: float
) -> None:
    for said, meant in (("7", 7), ("0.5", 0.5), ("x", usual), ("-1", usual), ("nan", usual)):
        monkeypatch.setenv(f"HF_HUB_{name}_TIMEOUT", said)
        assert read() == meant


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1/f", "https://127.0.0.1/f", "https://[::1]/f", "https://10.0.0.1/f", "https://169.254.169.254/f",
     "https://inside.example/f", "http://outside.example/f", "file:///etc/passwd"],
)  # fmt: skip
def test_https_leads_neither_to_http_nor_into_this_network(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    names = {"outside.example": "8.8.8.8", "inside.example": "192.168.1.1"}
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda host, port, type=0: [(None, None, None, "", (names.get(host, host), 0))]
    )
    limits.refuse_astray("https://outside.example/a", "https://outside.example/b")
    limits.refuse_astray("https://inside.example/a", "https://10.0.0.1/b")  # a mirror of one's own
    with pytest.raises(DownloadError, match="leads astray"):
        limits.refuse_astray("https://user:SECRET@outside.example/a", target)


def test_without_home_and_passwd_entry_caches_are_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert str(cache_home()).startswith(tempfile.gettempdir())
    assert run(["weights", "list"]) == 0


def test_a_digest_is_not_remembered_of_a_file_put_in_its_place(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one")
    assert sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    times = path.stat()
    other.write_bytes(b"two")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert sha256_of(path) == hashlib.sha256(b"two").hexdigest()
