"""The command of a run: from a configuration back to `spnet train`, so that a model card can say how to train again."""

import json
import shlex
from itertools import product
from operator import attrgetter
from pathlib import PurePath
from typing import Any, get_args

from spnet.config.io import describe_keys
from spnet.config.presets import PRESETS, as_released, get_preset
from spnet.config.schema import PathwayName, RunConfig

# shown by their last part: where they lie says nothing on another machine
PATHS = ("data.root", "weights.init_from", "model.backbone.weights")
SHORT = {"data.root": "data", "weights.init_from": "weights"}


def training_command(config: RunConfig) -> str:
    """The shortest `spnet train` command that resolves to a configuration; paths are named by their last part."""
    keys = [key for key, _, _ in describe_keys(RunConfig)]
    values = attrgetter(*keys)
    commands: list[list[str]] = []
    for name, pathway, released in product(PRESETS, get_args(PathwayName), (False, True)):
        preset = get_preset(name, config.stage, pathway)
        words = ["spnet", "train", name, "--stage", config.stage, "--pathway", pathway]
        words += ["--as-released"] if released else []
        given = values(as_released(preset) if released else preset)
        for key, value, before in zip(keys, values(config), given, strict=True):
            if value != before:
                words += [f"--{SHORT.get(key, key)}", _as_option(key, value)]
        commands.append(words)
    shortest: list[str] = min(commands, key=len)
    return shlex.join(shortest)


def _as_option(key: str, value: Any) -> str:
    if isinstance(value, str):
        return PurePath(value).name if key in PATHS and not value.startswith("hf:") else value
    return json.dumps(value)  # which YAML reads as well
