"""A small network runs on one thread; a large one, or a user who has said how many, keeps them all."""

import pytest
import torch

from mvit_cli.recognition.processors import SMALL_MACS, leave_processors


@pytest.mark.parametrize(
    ("macs", "said", "expected"), [(SMALL_MACS - 1, None, 1), (SMALL_MACS, None, 2), (1000, "2", 2)]
)
def test_a_small_network_leaves_processors_to_decoding(
    macs: int, said: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        leave_processors(macs)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
