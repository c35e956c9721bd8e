"""Weights files: safetensors with the architecture inside, and strict loading that says what does not fit."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from spnet.config import ModelConfig, PathName
from spnet.errors import UserError
from spnet.model.network import SPNet
from spnet.model.trunk_weights import State
from spnet.parsing import parse, to_plain

WEIGHTS_NAME = "weights.safetensors"
CLASSIFIER = "trunk.net.head."


@dataclass(frozen=True)
class Weights:
    """The content of a weights file."""

    state: State
    config: ModelConfig
    path: PathName  # how it was trained


def save_weights(file: Path, network: SPNet, path: PathName) -> None:
    """Write a network's weights and architecture; the file appears complete or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    metadata = {"format": "pt", "spnet": json.dumps({"config": to_plain(network.config), "path": path})}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        save_file(state, temporary, metadata)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def read_weights(source: Path) -> Weights:
    """Read a weights file, or that of a finished run's folder.

    Raises:
        UserError: nothing there, no safetensors, or not one of ours.
    """
    file = source / WEIGHTS_NAME if source.is_dir() else source
    if not file.is_file():
        hint = "the run is not finished" if source.is_dir() else "no such file"
        raise UserError(f"weights {str(file)!r}: {hint}")
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        hint = "; a released checkpoint is read by `spnet convert`" if file.suffix in (".ckpt", ".pth", ".pt") else ""
        raise UserError(f"weights {str(file)!r}: not a safetensors file ({error}){hint}") from error
    if "spnet" not in metadata:
        raise UserError(f"weights {str(file)!r}: a safetensors file without an spnet configuration inside")
    about = json.loads(metadata["spnet"])
    return Weights(state, parse(ModelConfig, about["config"], str(file)), about["path"])


def load_network(source: Path) -> SPNet:
    """The network of a weights file or a finished run, in evaluation mode. Raises UserError as `read_weights`."""
    weights = read_weights(source)
    network = SPNet(replace(weights.config, trunk=replace(weights.config.trunk, weights="none")))
    network.config = weights.config
    load_state(network, _without_classifier(weights.state), str(source))
    return network.eval()


def _without_classifier(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}


def load_state(
    network: nn.Module,
    state: State,
    origin: str,
    may_stay_fresh: Callable[[str], bool] = lambda name: False,
    partial: bool = False,
) -> str:
    """Copy `state` into a network; every key must fit, but for those that may stay as they were made.

    Returns:
        one line of counts.

    Raises:
        UserError: keys that are missing, unknown or of another shape, unless `partial`.
    """
    own = network.state_dict()
    misshaped = sorted(name for name, value in state.items() if name in own and own[name].shape != value.shape)
    unknown = sorted(name for name in state if name not in own)
    missing = sorted(name for name in own if name not in state and not may_stay_fresh(name))
    problems = [
        f"{len(names)} keys {what}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", misshaped))
        if names
    ]
    if problems and not partial:
        raise UserError(
            f"weights {origin!r} do not fit: {'; '.join(problems)} (--weights.partial true loads what fits)"
        )
    fitting = {name: value for name, value in state.items() if name in own and name not in misshaped}
    network.load_state_dict(fitting, strict=False)
    fresh = len(own) - len(fitting)
    return f"weights {origin}: {len(fitting)} of {len(own)} tensors loaded, {fresh} as made" + "".join(
        f"; {p}" for p in problems
    )
