"""`torch.hub.load("OWNER/spnet", "spnet", "org/name")`: the network of weights by their name (docs/hub.md)."""

import sys
from pathlib import Path
from typing import Any

dependencies = ["torch", "torchvision", "timm", "huggingface_hub", "safetensors", "pydantic", "lazy_loader", "filelock"]


def spnet(source: str, **options: Any) -> Any:
    """`SPNet.from_pretrained(source, **options)`."""
    sys.path.insert(0, str(Path(__file__).parent / "src"))
    from spnet import SPNet

    return SPNet.from_pretrained(source, **options)
