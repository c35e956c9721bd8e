"""`torch.hub.load` finds the network through `hubconf.py`."""

from pathlib import Path

import torch

from miniature import make_network
from spnet import SPNet

ROOT = Path(__file__).parents[1]


def test_torch_hub(tmp_path: Path) -> None:
    make_network().save_pretrained(tmp_path)
    network = torch.hub.load(str(ROOT), "spnet", str(tmp_path), source="local")
    assert isinstance(network, SPNet)
