"""Whether a library was refused memory, whatever it made of that."""

import errno
import sys
from pathlib import Path

import av
import pytest
from media_clips import write_video

from mvit_cli.errors import MediaError
from mvit_cli.media import shortage
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.shortage import MemoryWatch, is_near_limit
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not limited")


@pytest.fixture
def headroom(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that this process seems to have left; -1 without a limit."""
    import resource

    left = [100 << 20]

    def limits(_: int) -> tuple[int, int]:
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak"))
        return (peak + left[0] if left[0] >= 0 else resource.RLIM_INFINITY), resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", limits)
    return left


def refuse(error: Exception | None = None) -> None:
    shortage._errno.cell.value = errno.ENOMEM
    if error:
        raise error


def test_call_that_was_refused_memory_in_silence_is_an_error(headroom: list[int]) -> None:
    with pytest.raises(MemoryError), MemoryWatch():
        refuse()


def test_error_of_another_name_becomes_one_of_memory(headroom: list[int]) -> None:
    with pytest.raises(MemoryError) as error, MemoryWatch():
        refuse(ValueError("invalid data"))
    assert isinstance(error.value.__cause__, ValueError)


def test_what_was_refused_before_the_call_does_not_count(headroom: list[int]) -> None:
    refuse()
    with MemoryWatch():
        pass


def test_errors_of_broken_files_stay_what_they_are(headroom: list[int]) -> None:
    with pytest.raises(ValueError, match="invalid data"), MemoryWatch():
        raise ValueError("invalid data")


@pytest.mark.parametrize("left", [shortage.LARGEST_BYTES + (1 << 20), -1])
def test_far_from_the_limit_or_without_one_an_allocation_failed_for_another_reason(
    headroom: list[int], left: int
) -> None:
    headroom[0] = left
    with MemoryWatch():
        refuse()


def test_how_near_the_limit_is_depends_on_what_was_asked_for(headroom: list[int]) -> None:
    assert is_near_limit(200 << 20)
    assert not is_near_limit(50 << 20)


def test_a_header_that_asks_for_what_cannot_be_is_invalid_data(headroom: list[int]) -> None:
    """FFmpeg says so of a piece of more than 2 GB without asking for it."""
    said = av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")
    with pytest.raises(av.error.InvalidDataError), MemoryWatch():
        raise said
    with pytest.raises(av.error.MemoryError), MemoryWatch():
        refuse(said)
    headroom[0] = shortage.SMALL_BYTES // 2
    with pytest.raises(av.error.MemoryError), MemoryWatch():
        raise said


def test_a_broken_file_that_claims_gigabytes_is_broken(tmp_path: Path) -> None:
    path = Path(write_video(tmp_path / "a.ivf", 20, codec="libvpx"))
    data = bytearray(path.read_bytes())
    data[32:36] = b"\xf0\xff\xff\xff"  # the size of the first frame
    path.write_bytes(data)
    transform = Transform((0.5,) * 3, (0.5,) * 3, 32, 32)
    with DecodePool(workers=1) as pool:
        (outcome,) = pool.imap([DecodeRequest(str(path), Sampling("image", 1), transform)])
    assert isinstance(outcome, MediaError)
    assert outcome.kind in ("decode", "empty")
