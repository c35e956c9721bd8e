"""The command of a run: from a configuration back to `spnet train`, so that a model card can say how to train again."""

import json
import shlex
from itertools import product
from pathlib import PurePath
from typing import Any, get_args

from spnet.config.io import describe_keys, to_plain
from spnet.config.presets import PRESETS, as_released, get_preset
from spnet.config.schema import PathwayName, RunConfig

PATHS = ("data.root", "weights.init_from", "model.backbone.weights")  # shown by their last part: where it lies says
SHORT = {"data.root": "data", "weights.init_from": "weights"}  # nothing on another machine


def training_command(config: RunConfig) -> str:
    """The shortest `spnet train` command that resolves to a configuration; paths are named by their last part."""
    commands: list[list[str]] = []
    for name, pathway, released in product(PRESETS, get_args(PathwayName), (False, True)):
        preset = get_preset(name, config.stage, pathway)
        words = ["spnet", "train", name, "--stage", config.stage, "--pathway", pathway]
        words += ["--as-released"] if released else []
        options = _differences(as_released(preset) if released else preset, config)
        commands.append([*words, *options])
    return shlex.join(min(commands, key=len))


def _differences(base: RunConfig, config: RunConfig) -> list[str]:
    """Options that make one configuration of another."""
    before, after = to_plain(base), to_plain(config)
    words: list[str] = []
    for key, _, _ in describe_keys(RunConfig):
        value = _value(after, key)
        if value != _value(before, key):
            words += [f"--{SHORT.get(key, key)}", _as_option(key, value)]
    return words


def _value(content: Any, key: str) -> Any:
    for name in key.split("."):
        content = content[name]
    return content


def _as_option(key: str, value: Any) -> str:
    if isinstance(value, str):
        return PurePath(value).name if key in PATHS and not value.startswith("hf:") else value
    return json.dumps(value)  # which YAML reads as well
