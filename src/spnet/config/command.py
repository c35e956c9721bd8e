"""The command of a run: from a configuration back to `spnet train`, so that a model card can say how to train again."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import product
from pathlib import PurePath
from typing import Any, get_args, get_type_hints

from spnet.config.io import Content, to_plain
from spnet.config.presets import PRESETS, as_released, get_preset
from spnet.config.schema import PathwayName, RunConfig

# shown by their last part: where they lie says nothing on another machine
PATHS = ("data.root", "weights.init_from", "model.backbone.weights")
SHORT = {"data.root": "data", "weights.init_from": "weights"}


def training_command(config: RunConfig) -> str:
    """The shortest `spnet train` command that resolves to a configuration; paths are named by their last part."""
    wanted = list(_flat(to_plain(config)))
    commands: list[list[str]] = []
    for name, pathway, released in product(PRESETS, get_args(PathwayName), (False, True)):
        preset = get_preset(name, config.stage, pathway)
        words = ["spnet", "train", name, "--stage", config.stage, "--pathway", pathway]
        words += ["--as-released"] if released else []
        given = _flat(to_plain(as_released(preset) if released else preset))
        changed = [pair for pair, before in zip(wanted, given, strict=True) if pair != before]
        options = [word for key, value in changed for word in (f"--{SHORT.get(key, key)}", _as_option(key, value))]
        commands.append([*words, *options])
    shortest: list[str] = min(commands, key=len)
    return shlex.join(shortest)


def _flat(content: Content, schema: type = RunConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values, group after group; a free table is one value."""
    kinds = get_type_hints(schema)
    for name, value in content.items():
        if isinstance(kind := kinds[name], type) and is_dataclass(kind):
            yield from _flat(value, kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _as_option(key: str, value: Any) -> str:
    if isinstance(value, str):
        return PurePath(value).name if key in PATHS and not value.startswith("hf:") else value
    return json.dumps(value)  # which YAML reads as well
