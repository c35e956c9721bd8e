"""Numbers on their way to the host."""

import torch

from spnet.training.host_copy import HostCopy


def test_what_is_read_is_what_was_copied() -> None:
    assert HostCopy(torch.tensor([3, 0, -7])).read() == [3, 0, -7]
    assert HostCopy(torch.zeros(0, dtype=torch.int64)).read() == []
