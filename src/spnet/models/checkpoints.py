"""Weights files: safetensors with the architecture inside, and strict loading that says what does not fit."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from spnet.config.io import parse, to_plain
from spnet.config.schema import ModelConfig, PathwayName
from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.models.pretrained import State
from spnet.models.spnet import SPNet

WEIGHTS_NAME = "weights.safetensors"
# what timm's backbones have after C5
CLASSIFIER = tuple(f"backbone.net.{part}." for part in ("head", "fc", "norm", "classifier", "conv_head", "bn2"))


@dataclass(frozen=True)
class Weights:
    """The content of a weights file."""

    state: State
    config: ModelConfig
    pathway: PathwayName  # how it was trained


def save_weights(file: Path, network: SPNet, pathway: PathwayName, **about: object) -> None:
    """Write a network's weights and architecture; the file appears complete or not at all.

    Args:
        file: what is written; its folder is made.
        network: whose weights.
        pathway: how it was trained.
        about: JSON values to keep beside the architecture in the file's metadata, an epoch say.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    # one entry: of several the order would be another each time, and equal runs are to give equal files
    metadata = {"spnet": json.dumps({"config": to_plain(network.config), "pathway": pathway, **about})}
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(save(state, metadata))


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
    try:
        about = json.loads(metadata["spnet"])
        content, pathway = dict(about["config"]), about["pathway"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"weights {str(file)!r}: a safetensors file without an spnet configuration inside") from error
    return Weights(state, parse(ModelConfig, content, str(file)), pathway)


def load_network(source: Path) -> SPNet:
    """The network of a weights file or a finished run, in evaluation mode. Raises UserError as `read_weights`."""
    weights = read_weights(source)
    network = SPNet(replace(weights.config, backbone=replace(weights.config.backbone, weights="none")))
    network.config = weights.config
    load_state(network, _without_classifier(weights.state), str(source))
    return network.eval()


def _without_classifier(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}


def load_state(
    network: nn.Module,
    state: State,
    origin: str,
    allow_missing: Callable[[str], bool] = lambda name: False,
    partial: bool | None = None,
) -> str:
    """Copy `state` into a network; every key must fit, but for those that may stay as they were made.

    Args:
        network: what is filled.
        state: tensors by name.
        origin: where they come from, for messages.
        allow_missing: whether a key of the network may be missing.
        partial: load what fits; None where a person has no such option.

    Returns:
        one line of counts.

    Raises:
        UserError: keys that are missing, unknown or of another shape, unless `partial`.
    """
    own = network.state_dict()
    problems = diff_state_dict(own, state, allow_missing)
    if problems and not partial:
        hint = "" if partial is None else " (--weights.partial true loads what fits)"
        raise UserError(f"weights {origin!r} do not fit: {problems}{hint}")
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    network.load_state_dict(fitting, strict=False)
    counts = f"{len(fitting)} of {len(own)} tensors loaded, {len(own) - len(fitting)} as made"
    return f"weights {origin}: {counts}" + (f"; {problems}" if problems else "")


def diff_state_dict(own: State, state: State, may_be_missing: Callable[[str], bool] = lambda name: False) -> str:
    """What of `state` does not fit `own`: keys missing, unknown, of another shape, with counts; nothing if all fits."""
    kinds = {
        "missing": [name for name in own if name not in state and not may_be_missing(name)],
        "unknown": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
    }
    return "; ".join(
        f"{len(names)} keys {kind}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        for kind, names in kinds.items()
        if names
    )
