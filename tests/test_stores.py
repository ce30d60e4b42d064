"""Buckets of S3 and data sets of the Hub by their drivers, as far as servers on loopback say what real ones do."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_servers import S3, Hub, serving

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Decoded, DecodeRequest, Outcome
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform

CLIP = (Path(__file__).parent / "data" / "clips" / "hevc.mp4").read_bytes()
TRANSFORM = Transform(mean=(0.5,) * 3, std=(0.5,) * 3, resize=32, crop=32)


def files_of(root: str) -> dict[str, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("x.mp4")
        info.size = len(CLIP)
        tar.addfile(info, io.BytesIO(CLIP))
    return {f"{root}/{name}": CLIP for name in ("a.mp4", "sub/b.mp4", "sub/n.txt")} | {f"{root}/s.tar": out.getvalue()}


def outcomes(sources: list[Source]) -> Iterator[Outcome]:
    """What a worker process makes of them, which has nothing of this one's environment by itself."""
    pool = DecodePool(1)
    jobs = [
        source.error or DecodeRequest(source.path, Sampling("segments", frames=4), TRANSFORM, member=source.member)
        for source in sources
    ]
    try:
        yield from pool.imap(jobs)
    finally:
        pool.close()


def checked(root: str) -> None:
    """The same of every store: folders, patterns, archives, and a file that is not there."""
    found = list(iter_sources([root, f"{root}/*.tar", f"{root}/none.mp4", f"{root}/nothing"]))
    assert [source.path for source in found] == [
        f"{root}/a.mp4", f"{root}/sub/b.mp4", f"{root}/s.tar::x.mp4", f"{root}/none.mp4", f"{root}/nothing",
    ]  # fmt: skip
    *whole, none, nothing = outcomes(found)
    assert all(isinstance(outcome, Decoded) for outcome in whole)
    for lost in (none, nothing):
        assert isinstance(lost, MediaError)
        assert lost.message == "no such file or folder"


def test_a_bucket_of_s3_with_credentials_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with serving(S3, files_of("bucket"), key="AKID") as (url, sent):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        checked("s3://bucket")
        assert sum(sent) < 5 * len(CLIP)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
        (lost,) = outcomes(list(iter_sources(["s3://bucket/a.mp4"])))
    assert isinstance(lost, MediaError)
    assert lost.message == "access is denied"
    assert "AWS_ACCESS_KEY_ID" in lost.hint


def test_a_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    for name in ("HF_HUB_OFFLINE", "MVIT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    huggingface_hub.HfFileSystem.clear_instance_cache()
    with serving(Hub, files_of("org/name"), key="hf_SECRET") as (url, sent):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        places = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", places)
        checked("hf://datasets/org/name")
        assert sum(sent) < 5 * len(CLIP)
    huggingface_hub.HfFileSystem.clear_instance_cache()
