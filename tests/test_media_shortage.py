"""Whether a library was refused memory, whatever it made of that."""

import errno
import sys

import pytest

from mvit_cli.media import shortage
from mvit_cli.media.shortage import MemoryWatch, is_near_limit

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
