import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, FileServer, own_caches, some_weights

WEIGHTS = some_weights()  # 1 MiB
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
REPO, FILE = "org/mvit", "model.safetensors"
PLACE = {"hub": REPO, "file": FILE, "revision": "main"}

RUN = """
import json, sys
from dataclasses import replace
from mvit_cli.checkpoints.cards import load_card
from mvit_cli.checkpoints.fetch.locate import fetch, locate
from mvit_cli.checkpoints.fetch.place import Source
from mvit_cli.errors import MViTError
for source in json.loads(sys.argv[1]):
    card = replace(load_card("mvitv2_tiny.timm_in1k"), source=Source(**source))
    try:
        path = fetch(card, progress=True)
        assert locate(card) == path
        print(json.dumps({"path": str(path), "hub_imported": "huggingface_hub" in sys.modules}))
    except MViTError as error:
        print(json.dumps({"kind": type(error).__name__, "message": error.message, "hint": error.hint}))
"""


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_caches(tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


class Run:
    """Fetches from the Hub in a process of its own: huggingface_hub reads its endpoint when it is imported."""

    def __init__(self, endpoint: str, sources: list[dict[str, str]], env: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", RUN, json.dumps(sources)],
            env={**os.environ, "HF_ENDPOINT": endpoint, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        self.answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        self.everything = done.stdout + done.stderr

    @property
    def path(self) -> Path:
        return Path(self.answers[0]["path"])

    @property
    def message(self) -> str:
        assert self.answers[0]["kind"] == "DownloadError"
        return str(self.answers[0]["message"])


def fetch_from_hub(endpoint: str, env: dict[str, str] | None = None, **known: str) -> Run:
    return Run(endpoint, [{**PLACE, **known}], env)


def test_a_hub_file_is_downloaded_once_into_the_hubs_cache(server: FileServer, caches: Path) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    first = fetch_from_hub(server.url)
    assert first.path == caches / "huggingface" / "hub" / "models--org--mvit" / "snapshots" / COMMIT / FILE
    assert first.path.read_bytes() == WEIGHTS
    assert "downloading mvitv2_tiny.timm_in1k (1.0 MB)" in first.everything
    server.stop()
    again = fetch_from_hub(server.url)
    assert again.path == first.path
    assert not again.answers[0]["hub_imported"]
    assert fetch_from_hub(server.url, env={"HF_HUB_OFFLINE": "1"}).path == first.path


def test_a_pinned_commit_is_found_again(server: FileServer) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS, COMMIT)
    path = fetch_from_hub(server.url, revision=COMMIT).path
    server.stop()
    assert fetch_from_hub(server.url, revision=COMMIT).path == path


def test_wrong_bytes_from_the_hub_are_deleted_though_their_size_is_right(server: FileServer, caches: Path) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    server.replaced = WEIGHTS[::-1]
    assert "not the published one: its sha256 is" in fetch_from_hub(server.url).message  # by the Hub's ETag
    assert not list((caches / "huggingface" / "hub" / "models--org--mvit" / "blobs").iterdir())
    server.replaced = None
    assert fetch_from_hub(server.url).path.read_bytes() == WEIGHTS


def test_the_cards_sha256_is_above_the_hubs_own(server: FileServer) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    assert f"instead of {'0' * 64}" in fetch_from_hub(server.url, sha256="0" * 64).message
    assert fetch_from_hub(server.url, sha256=DIGEST).path.is_file()


def test_a_cut_connection_to_the_hub_is_continued(server: FileServer) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    server.cut_after = [300_000]
    assert fetch_from_hub(server.url).path.read_bytes() == WEIGHTS
    assert server.methods() == ["HEAD", "HEAD", "GET", "GET"]


def test_the_hubs_refusals_are_told_without_the_token(server: FileServer) -> None:
    cases = [
        (404, "EntryNotFound", "no such file"),
        (404, "RepoNotFound", "no such repository"),
        (404, "RevisionNotFound", "no such revision"),
        (404, "", "no such file (404)"),
        (401, "", "permission that was not given (401)"),
        (403, "GatedRepo", "gated"),
        (503, "", "answered with an error (503)"),
    ]
    sources = [{**PLACE, "file": f"{number}.safetensors"} for number in range(len(cases))]
    for source, (status, code, _) in zip(sources, cases, strict=True):
        server.refusals[f"/{REPO}/resolve/main/{source['file']}"] = (status, code)
    run = Run(server.url, sources, env={"HF_TOKEN": "hf_SECRETSECRET"})
    for answer, (_, _, words) in zip(run.answers, cases, strict=True):
        assert words in answer["message"]
        assert answer["hint"]
    assert "SECRET" not in run.everything
    assert server.requests[0][2]["authorization"] == "Bearer hf_SECRETSECRET"
    assert server.methods() == ["HEAD"] * len(cases)  # each asked once


def test_a_redirect_of_the_hub_to_its_storage_carries_no_token(server: FileServer) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    with FileServer(files={"/blob": WEIGHTS}) as storage:
        server.redirects["/org/mvit/resolve/main/model.safetensors"] = "/cas"
        server.redirects["/cas"] = f"{storage.url.replace('127.0.0.1', 'localhost')}/blob?sig=SECRET"
        outcome = fetch_from_hub(server.url, env={"HF_TOKEN": "hf_SECRETSECRET"})
    assert "SECRET" not in outcome.everything
    assert all("authorization" not in headers for _, _, headers in storage.requests)


def test_an_unreachable_hub_is_asked_once_and_the_way_out_is_told(server: FileServer) -> None:
    server.stop()
    outcome = fetch_from_hub(server.url.replace("://", "://user:SECRET@"))
    assert "cannot be reached: connection refused" in outcome.message
    assert "--preset camera" in outcome.answers[0]["hint"]
    assert "SECRET" not in outcome.everything
    assert "Retrying" not in outcome.everything


def test_a_hub_cache_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    (tmp_path / "file").write_text("a file where a folder should be")
    run = fetch_from_hub(server.url, env={"HF_HOME": str(tmp_path / "file")})
    assert f"cannot write to {tmp_path / 'file' / 'hub'}" in run.message
    assert "HF_HOME" in run.answers[0]["hint"]


@pytest.mark.parametrize("said", [{"etag": '"../../../../evil"'}, {"etag": '"a/b"'}, {"commit": "../../../evil"}])
def test_an_answer_that_would_lead_out_of_the_cache_is_refused(
    server: FileServer, caches: Path, said: dict[str, str]
) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    for name, value in said.items():
        setattr(server, name, value)
    assert "that is none" in fetch_from_hub(server.url).message
    assert not list(caches.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({"etag": '"../../../../evil"'}, "that is none"),
        ({"commit": "../../../evil"}, "that is none"),
        ({"location": "http://198.51.100.1/evil"}, "leads astray"),
    ],
)
def test_a_server_that_answers_otherwise_the_second_time_is_refused(
    server: FileServer, caches: Path, later: dict[str, str], told: str
) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)
    server.later = later
    assert told in fetch_from_hub(server.url).message
    assert len(server.requests) > 1
    assert not list(caches.parent.rglob("*evil*"))


def test_a_repository_is_its_one_checkpoint_or_the_list(server: FileServer) -> None:
    server.put_on_hub(REPO, FILE, WEIGHTS)

    def pulled(*files: str) -> subprocess.CompletedProcess[str]:
        listed = {"id": REPO, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        server.files[f"/api/models/{REPO}/revision/main"] = json.dumps(listed).encode()
        return subprocess.run(
            [sys.executable, "-m", "mvit_cli", "weights", "pull", REPO],
            env={**os.environ, "HF_ENDPOINT": server.url},
            capture_output=True,
            text=True,
            timeout=60,
        )

    one = pulled("README.md", "config.json", FILE, "pytorch_model.bin", "training_args.bin")
    assert one.returncode == 0, one.stderr
    assert Path(one.stdout.strip()).read_bytes() == WEIGHTS
    several = pulled(FILE, "ema.pth", "last.ckpt")
    assert several.returncode == 2
    assert f"{REPO} holds 3 checkpoints: {FILE}, ema.pth, last.ckpt" in several.stderr
    assert f"hint: name one: hf://{REPO}/{FILE}" in several.stderr
    none = pulled("README.md")
    assert none.returncode == 1
    assert "holds no checkpoint" in none.stderr
    server.stop()
    assert pulled(FILE).stdout == one.stdout  # what the cache has, where nobody answers
