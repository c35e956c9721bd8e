"""The command of a run resolves to the run's configuration."""

import argparse
import shlex
from dataclasses import replace

import pytest

from spnet.cli.main import build_parser
from spnet.cli.train import resolve
from spnet.config.command import training_command
from spnet.config.io import override
from spnet.config.presets import PRESETS, as_released, get_preset
from spnet.config.schema import PathwayName, RunConfig, Stage

CHANGES = [
    "--data.root=street", "--weights.init_from=hf:org/name@v1", "--optimizer.lr=1e-05", "--optimizer.backbone_lr=null",
    "--model.backbone.model_kwargs={depths: [1, 2], name: 'a b'}", "--data.augmentation.scale_range=[0.5, 1.0]",
    "--weights.replicate=true", "--logger=csv", "--seed=7",
]  # fmt: skip


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return build_parser(["train"])


def resolved(parser: argparse.ArgumentParser, command: str) -> RunConfig:
    """What `spnet train` would train."""
    parsed, keys = parser.parse_known_args(shlex.split(command)[1:])
    parsed.keys = keys
    return resolve(parsed)


@pytest.mark.parametrize(("stage", "pathway"), [("pretrain", "query"), ("finetune", "object")])
def test_presets_are_named(parser: argparse.ArgumentParser, stage: Stage, pathway: PathwayName) -> None:
    for name in PRESETS:
        config = get_preset(name, stage, pathway)
        assert training_command(config) == f"spnet train {name} --stage {stage} --pathway {pathway}"
    assert resolved(parser, training_command(as_released(config))) == as_released(config)
    assert "--as-released" in training_command(as_released(config))


@pytest.mark.parametrize("name", ["spnet-tiny", "spnet-l"])
def test_changes_are_options(parser: argparse.ArgumentParser, name: str) -> None:
    config = override(get_preset(name, "finetune"), options=CHANGES)
    assert resolved(parser, training_command(config)) == config


def test_paths_are_named_by_their_last_part() -> None:
    config = get_preset("spnet-s", "finetune")
    config = replace(config, data=replace(config.data, root="/home/me/data/prw"))
    config = replace(config, weights=replace(config.weights, init_from="/home/me/runs/pretrained"))
    assert training_command(config).endswith("--data prw --weights pretrained")
