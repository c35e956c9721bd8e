"""Weights files: safetensors with the architecture inside, and strict loading that says what does not fit."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from spnet.config.io import parse, to_plain
from spnet.config.schema import ModelConfig, PathwayName
from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.models.hub import CHECKSUM, find_weights
from spnet.models.pretrained import State
from spnet.models.spnet import SPNet

MOST_LAYERS, LARGEST_WIDTH = 256, 2**16
_LAYERS = re.compile("depth|layers|blocks|stages|repeat", re.IGNORECASE)  # options of timm that count layers
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
    content: dict[str, object] = {"config": to_plain(network.config), "pathway": pathway, **about}
    # one entry: of several the order would be another each time, and equal runs are to give equal files
    metadata = {"spnet": json.dumps(content | {CHECKSUM: _checksum(content, state)})}
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(save(state, metadata))


def read_weights(source: str | Path) -> Weights:
    """Read the weights that `source` names, as `find_weights` has it.

    Raises:
        UserError: nothing there, no safetensors, not one of ours, or not as it was written.
    """
    file = find_weights(source)
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, LookupError, AttributeError, ValueError) as error:  # two: types torch lacks
        hint = "; a released checkpoint is read by `spnet convert`" if file.suffix in (".ckpt", ".pth", ".pt") else ""
        raise UserError(f"weights {str(file)!r}: not a safetensors file ({error}){hint}") from error
    try:
        about = json.loads(metadata["spnet"])
        content, pathway = dict(about["config"]), about["pathway"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"weights {str(file)!r}: a safetensors file without an spnet configuration inside") from error
    checksum = about.pop(CHECKSUM, None)  # files of before it have none
    if checksum is not None and checksum != _checksum(about, state):
        raise UserError(f"weights {str(file)!r}: damaged: the content does not have the checksum it was written with")
    return Weights(state, parse(ModelConfig, content, str(file)), pathway)


def _checksum(about: Mapping[str, object], state: State) -> str:
    """SHA-256 of what stands beside the tensors, and of all tensors with their names, types and shapes."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_network(source: str | Path) -> SPNet:
    """The network that `source` names (`find_weights`), in evaluation mode. Raises UserError as `read_weights`."""
    weights = read_weights(source)
    config = replace(weights.config, backbone=replace(weights.config.backbone, weights="none"))
    state = _without_classifier(weights.state)
    check_size(config, str(source))
    with torch.device("meta"):  # a configuration that does not fit its tensors may ask for any amount of memory
        problems = diff_state_dict(SPNet(config).state_dict(), state)
    if problems:
        raise UserError(f"weights {str(source)!r} do not fit: {problems}")
    network = SPNet(config)
    network.config = weights.config
    network.trained_pathway = weights.pathway
    load_state(network, state, str(source))
    return network.eval()


def check_size(config: ModelConfig, origin: str) -> None:
    """Raise UserError for a network of more layers than any has: making them, even without weights, would never end."""
    options = config.backbone.model_kwargs
    counts = [config.cascade_steps, *_numbers([value for name, value in options.items() if _LAYERS.search(name)])]
    widths = [config.location_dim, config.reid_dim, *_numbers(list(options.values()))]
    if max(counts) > MOST_LAYERS or max(widths) > LARGEST_WIDTH:
        raise UserError(
            f"weights {origin!r}: the configuration inside has numbers up to {max(*counts, *widths)}; a network has at "
            f"most {MOST_LAYERS} layers in a row of {LARGEST_WIDTH} channels"
        )


def _numbers(values: list[object]) -> list[float]:
    """All numbers in nested lists and tables."""
    found: list[float] = []
    for value in values:
        if isinstance(value, (int, float)):
            found.append(value)
        elif isinstance(value, (list, tuple, dict)):
            found += _numbers(list(value.values() if isinstance(value, dict) else value))
    return found


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
