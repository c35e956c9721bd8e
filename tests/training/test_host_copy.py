"""Numbers on their way to the host."""

import torch

from spnet.training.host_copy import copy_to_host


def test_what_is_read_is_what_was_copied() -> None:
    assert copy_to_host(torch.tensor([3, 0, -7]))() == [3, 0, -7]
    assert copy_to_host(torch.zeros(0, dtype=torch.int64))() == []
