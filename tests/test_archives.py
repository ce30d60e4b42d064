"""Members of tar and zip archives are inputs: a row each, whatever is wrong with one of them."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvit_cli.errors import MediaError
from mvit_cli.media import archives, content
from mvit_cli.media.decode import attempt, decode
from mvit_cli.media.request import Decoded, DecodeRequest, Windows
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.media.windows import outcomes_of
from mvit_cli.media.workers.process import job_for
from mvit_cli.media.workers.wire import job_of, packed_job
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.listing import Listing
from mvit_cli.recognition.written import input_among

CLIPS = Path(__file__).parent / "data" / "clips"
REQUEST = DecodeRequest(
    "", Sampling("segments", frames=4), Transform(mean=(0.5,) * 3, std=(0.5,) * 3, resize=32, crop=32), num_clips=2
)


def tar_of(path: Path, members: Mapping[str, bytes | str]) -> str:
    """A tar; a text is a clip of that name, or with `>` in front a link to that place."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, str) and data.startswith(">"):
                info.type, info.linkname = tarfile.SYMTYPE, data[1:]
                tar.addfile(info)
                continue
            held = (CLIPS / data).read_bytes() if isinstance(data, str) else data
            info.size = len(held)
            tar.addfile(info, io.BytesIO(held))
    return str(path)


def zip_of(path: Path, members: Mapping[str, bytes | str], method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, (CLIPS / data).read_bytes() if isinstance(data, str) else data)
    return str(path)


def listed(*names: str) -> list[tuple[str, str | None]]:
    return [(source.path, source.error.message if source.error else None) for source in iter_sources(names)]


def seen(source: Source | str) -> Decoded | MediaError:
    source = next(iter_sources([source])) if isinstance(source, str) else source
    assert source.error is None
    return attempt(replace(REQUEST, path=source.path, member=source.member))


def error_of(source: Source | str) -> str:
    outcome = seen(source)
    assert isinstance(outcome, MediaError)
    assert outcome.hint
    return outcome.message


@pytest.mark.parametrize("pack", [tar_of, zip_of, lambda path, of: zip_of(path, of, zipfile.ZIP_DEFLATED)])
@pytest.mark.parametrize("clip", ["hevc.mp4", "h264.ts", "mpeg4_bframes.avi"])
def test_a_member_shows_what_the_file_itself_shows(
    pack: Callable[[Path, Mapping[str, bytes | str]], str], clip: str, tmp_path: Path
) -> None:
    path = pack(tmp_path / ("a.tar" if pack is tar_of else "a.zip"), {"text.json": b"{}", clip: clip})
    (source,) = iter_sources([path])
    by_place, by_name = seen(source), seen(f"{path}::{clip}")
    alone = decode(replace(REQUEST, path=str(CLIPS / clip), reader="av"))
    assert isinstance(by_place, Decoded)
    assert isinstance(by_name, Decoded)
    assert np.array_equal(by_place.pixels, alone.pixels)
    assert np.array_equal(by_name.pixels, alone.pixels)
    assert (by_place.clips, by_place.warnings) == (alone.clips, alone.warnings)


def test_pictures_and_windows_of_members(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a.png", "a.jpg", "a.webp"):
        Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / name)
    held = {name: (tmp_path / name).read_bytes() for name in ("a.png", "a.jpg", "a.webp")}
    for source in iter_sources([tar_of(tmp_path / "a.tar", {**held})]):
        outcome = seen(source)
        assert isinstance(outcome, Decoded)
        assert outcome.reader == "pillow"
    path = f"{tar_of(tmp_path / 'b.tar', {'hevc.mp4': 'hevc.mp4'})}::hevc.mp4"
    request = replace(REQUEST, path=path, num_clips=1, windows=Windows(1.0, 1.0))
    alone = list(outcomes_of(replace(request, path=str(CLIPS / "hevc.mp4"))))
    found = list(outcomes_of(request))
    assert len(found) == len(alone) > 2
    for one, other in zip(found, alone, strict=True):
        assert isinstance(one, Decoded)
        assert isinstance(other, Decoded)
        assert np.array_equal(one.pixels, other.pixels)


def test_what_is_listed_and_what_each_bad_member_says(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {
        "./000.mp4": b"x",
        "000.json": b"{}",
        "../up.mp4": b"x",
        "/root.mp4": b"x",
        "C:\\x.mp4": b"x",
        "link.mp4": ">/etc/passwd",
        "link.json": ">/etc/passwd",
        "inner.tar": b"x",
        ".hidden.mp4": b"x",
        "z.jpg": b"x",
    }
    path = tar_of(tmp_path / "a.tar", members)
    assert listed(path) == [
        (f"{path}::000.mp4", None),
        (f"{path}::../up.mp4", "its name leads out of the archive"),
        (f"{path}::/root.mp4", "its name leads out of the archive"),
        (f"{path}::C:\\x.mp4", "its name leads out of the archive"),
        (f"{path}::link.mp4", "a link, not a file"),
        (f"{path}::inner.tar", "an archive in an archive"),
        (f"{path}::z.jpg", None),
    ]


def test_links_encryption_and_other_methods_in_a_zip(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.mp4": b"x", "b.mp4": b"x", "c.mp4": b"x"})
    data = bytearray(Path(path).read_bytes())
    places = [place for place in range(len(data)) if data[place : place + 4] == b"PK\x01\x02"]
    data[places[0] + 8] |= 1  # encrypted
    data[places[1] + 10] = 12  # bzip2
    data[places[2] + 38 : places[2] + 42] = (0o120777 << 16).to_bytes(4, "little")
    Path(path).write_bytes(data)
    assert [message for _, message in listed(path)] == [
        "it is encrypted in its archive",
        "it is compressed by a method that is not read (12)",
        "a link, not a file",
    ]


def test_a_broken_header_costs_one_row_and_no_other_member(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", dict.fromkeys(("a.mp4", "b.mp4", "c.mp4", "d.mp4"), b"x" * 700))
    data = bytearray(Path(path).read_bytes())
    data[1536 : 1536 + 512] = b"\xff" * 512  # the header of b.mp4
    Path(path).write_bytes(data)
    assert listed(path) == [
        (f"{path}::a.mp4", None),
        (path, "the archive is damaged at byte 1,536; the members behind that are read"),
        (f"{path}::c.mp4", None),
        (f"{path}::d.mp4", None),
    ]
    Path(path).write_bytes(data[: 3 * 1536 + 600])
    assert listed(path)[-1] == (path, "the archive is cut short: it ends in the middle of a member")
    assert listed(path)[-2] == (f"{path}::d.mp4", None)


def test_no_archive_an_empty_one_and_kinds_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_bytes(b"hello " * 500)
    (tmp_path / "text.zip").write_bytes(b"hello " * 500)
    (tmp_path / "nothing.tar").write_bytes(b"")
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b")
    for name in ("text.tar", "text.zip", "nothing.tar"):
        (said,) = [message for _, message in listed(str(tmp_path / name))]
        assert said in (
            "the archive cannot be read: it is damaged or no archive",
            "no video or image in this archive",
        )
    tar_of(tmp_path / "empty.tar", {})
    (source,) = iter_sources([str(tmp_path / "empty.tar")])
    assert source.is_nothing
    assert listed(str(tmp_path / "a.tar.gz")) == [(str(tmp_path / "a.tar.gz"), "an archive of a kind that is not read")]


def test_a_file_whose_name_has_colons_is_itself(tmp_path: Path) -> None:
    real = tmp_path / "a.tar::b.mp4"
    real.write_bytes((CLIPS / "hevc.mp4").read_bytes())
    tar_of(tmp_path / "a.tar", {"c.mp4": b"x"})
    assert listed(str(real)) == [(str(real), None)]
    assert isinstance(seen(str(real)), Decoded)
    assert listed(str(tmp_path / "b::c.mp4")) == [(str(tmp_path / "b::c.mp4"), "no such file or folder")]


def test_members_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.mp4": "hevc.mp4", "b.mp4": "hevc.mp4"}, zipfile.ZIP_DEFLATED)
    data = bytearray(Path(path).read_bytes())
    data[3000:3010] = bytes(10)
    Path(path).write_bytes(data)
    assert error_of(f"{path}::a.mp4").startswith("it is damaged in its archive")
    assert isinstance(seen(f"{path}::b.mp4"), Decoded)
    assert error_of(f"{path}::none.mp4") == "no such member in the archive"
    assert error_of(f"{tmp_path}/none.tar::a.mp4") == "no such file"
    tar = tar_of(tmp_path / "a.tar", {"a.mp4": b"", "list.mp4": b"#EXTM3U\nfile.mp4"})
    assert error_of(f"{tar}::a.mp4") == "the file is empty (0 bytes)"
    assert error_of(f"{tar}::list.mp4") == "an HLS playlist, not a video"


def test_bombs_end_at_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.mp4": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archives, "SMALL_BYTES", 1000)
    assert error_of(f"{path}::a.mp4").endswith("times smaller: no video can be")
    monkeypatch.setattr(content, "MAX_COPY_BYTES", 1 << 19)
    assert "are copied at most" in error_of(f"{path}::a.mp4")
    monkeypatch.undo()
    data = bytearray(Path(path).read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = (1000).to_bytes(4, "little")  # it says to hold less than it does
    Path(path).write_bytes(data)
    assert error_of(f"{path}::a.mp4") == "it is damaged in its archive: its checksum is another"


def test_headers_that_claim_much_or_lead_back_end(tmp_path: Path) -> None:
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    back = tarfile.TarInfo("a.mp4")
    back.size = -5120
    for number, info in enumerate((long, back)):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        found = listed(str(path))
        assert 1 <= len(found) <= 3
        assert found[-1][1]


@pytest.mark.timeout(60)  # where a header's length squared counts it takes minutes
def test_numbers_without_end_and_files_with_holes(tmp_path: Path) -> None:
    number = tarfile.TarInfo("a.mp4")
    number.type, number.size = tarfile.XHDTYPE, 1 << 19
    holes = tarfile.TarInfo("b.mp4")
    holes.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "number.tar").write_bytes(number.tobuf() + b"1" * (1 << 19) + bytes(1024))
    (tmp_path / "holes.tar").write_bytes(holes.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert listed(str(tmp_path / "number.tar"))[-1][1]
    assert listed(str(tmp_path / "holes.tar")) == [(f"{tmp_path}/holes.tar::b.mp4", "a file with holes in a tar")]


def test_a_tar_is_listed_as_it_is_read_and_holds_no_member(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {f"{number:06}.mp4": b"x" for number in range(300)})
    asked = []
    file = Path(path).read_bytes()

    def read_at(start: int, count: int) -> bytes:
        asked.append(start)
        return file[start : start + count]

    found = archives.entries(content.Content("a.tar", len(file), read_at))
    assert next(found).name == "000000.mp4"
    assert max(asked) <= 2048
    assert sum(1 for _ in found) == 299


def test_names_of_one_archive_are_looked_for_once(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {f"{number:03}.mp4": b"x" for number in range(200)})
    asked = [0]
    file = Path(path).read_bytes()

    def read_at(start: int, count: int) -> bytes:
        asked[0] += 1
        return file[start : start + count]

    found = archives.Found("key")
    for number in range(200):
        place = found.member(content.Content("a.tar", len(file), read_at), f"{number:03}.mp4").start
        assert place == 1024 * number + 512
    assert asked[0] < 3000  # not 200 times 200 headers


def test_a_job_keeps_the_member_and_an_absolute_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar_of(tmp_path / "a.tar", {"x/./y.mp4": b"x"})
    monkeypatch.chdir(tmp_path)
    (source,) = iter_sources(["a.tar"])
    assert source.path == "a.tar::x/./y.mp4"
    job = job_for(0, replace(REQUEST, path=source.path, member=source.member), 60.0)
    assert job.request.path == f"{tmp_path}/a.tar::x/./y.mp4"
    told = job_of(packed_job(0, 0, job.request, 1.0))
    assert isinstance(told, tuple)
    assert told[2] == job.request


def test_an_output_over_an_archive_that_is_read_is_found(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"a.mp4": b"x"})
    listing = Listing((path,))
    assert input_among({"--output": Path(path)}, listing) == ("--output", f"{path}::a.mp4")
    os.link(path, tmp_path / "other")
    assert input_among({"--output": tmp_path / "other"}, Listing((f"{path}::a.mp4",))) is not None
