"""Configurations from files and options: what wins, what is refused and how it is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spnet.config.io import override, parse, to_plain, to_yaml
from spnet.config.presets import PRESETS, get_preset
from spnet.config.schema import ModelConfig, PathwayName, RunConfig, Stage
from spnet.errors import UserError

BASE = RunConfig()


def write(folder: Path, text: str) -> Path:
    file = folder / "keys.yaml"
    file.write_text(text)
    return file


def test_options_replace_keys_at_any_depth() -> None:
    config = override(
        BASE, options=["--seed", "7", "--model.cascade_steps=2", "--data.augmentation.scale_range", "[0.9, 1.5]"]
    )
    augmentation = replace(BASE.data.augmentation, scale_range=(0.9, 1.5))
    data = replace(BASE.data, augmentation=augmentation)
    assert config == replace(BASE, seed=7, model=replace(BASE.model, cascade_steps=2), data=data)


def test_nothing_replaced_is_the_base() -> None:
    base = get_preset("spnet-l", "pretrain")
    assert override(base) == base


def test_options_win_over_the_file_and_the_file_over_the_base(tmp_path: Path) -> None:
    base = replace(BASE, seed=1)
    file = write(tmp_path, "seed: 2\noptimizer:\n  epochs: 5\n  lr: 1e-3\n")
    assert override(base, file).seed == 2
    config = override(base, file, ["--seed", "3"])
    assert (config.seed, config.optimizer.epochs) == (3, 5)
    assert config.optimizer.lr == 1e-3  # YAML alone would read a string
    assert config.optimizer.weight_decay == base.optimizer.weight_decay


def test_a_table_of_free_keys() -> None:
    config = override(BASE, options=["--model.backbone.model_kwargs", "{depths: [1, 1, 1, 1], act_layer: gelu}"])
    assert config.model.backbone.model_kwargs == {"depths": [1, 1, 1, 1], "act_layer": "gelu"}


def test_nothing_can_be_chosen_again() -> None:
    base = get_preset("spnet-s", "pretrain")
    assert base.optimizer.backbone_lr == 1e-5
    assert override(base, options=["--optimizer.backbone_lr", "null"]).optimizer.backbone_lr is None


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("pathway", ["query", "object"])
def test_every_configuration_survives_its_file(name: str, stage: Stage, pathway: PathwayName, tmp_path: Path) -> None:
    config = get_preset(name, stage, pathway)
    text = to_yaml(config)
    assert parse(RunConfig, yaml.safe_load(text), "text") == config
    # also over a base where everything that can be nothing is something
    other = get_preset("spnet-s", "pretrain", "query")
    other = replace(other, weights=replace(other.weights, init_from="somewhere"))
    assert override(other, write(tmp_path, text)) == config


def test_plain_keys_are_all_keys() -> None:
    plain = to_plain(ModelConfig())
    assert plain["backbone"]["name"] == "convnext_tiny"
    assert plain["inference"]["max_size"] == 1500
    assert set(plain) == set(vars(ModelConfig()))


OPTION_MISTAKES = [
    (["--model.nope", "1"], r"\(options\): unknown key model\.nope; choose "),
    (
        ["--nope", "1"],
        r"unknown key nope; choose stage, model\.\*, objective\.\*, data\.\*, optimizer\.\*, weights\.\*, .*, seed$",
    ),
    (["--optimizer.epoch", "1"], r"unknown key optimizer\.epoch; choose optimizer\.epochs$"),
    (
        ["--optimizer.xyzzy", "1"],
        r"choose optimizer\.epochs, optimizer\.lr, .*, optimizer\.precision$",
    ),
    (["--model.xyzzy", "1"], r"choose model\.backbone\.\*, .*, model\.inference\.\*"),
    (["--xyzzy.epochs", "1"], r"choose stage, model\.\*, .*, seed$"),
    (["more"], r"'more' is no option; expected --KEY VALUE"),
    (["--model.cascade", "1"], r"unknown key model\.cascade; "),  # no abbreviations
    (["--model.cascade_steps"], r"--model\.cascade_steps needs a value"),
    (["--model.cascade_steps", "two"], r"model\.cascade_steps is 'two': should be a valid integer"),
    (["--model.cascade_steps", "1.5"], r"model\.cascade_steps is '1\.5': should be a valid integer"),
    (["--model.heads", "both"], r"model\.heads is 'both': should be 'shared' or 'separate'"),
    (["--optimizer.freeze_backbone", "maybe"], r"optimizer\.freeze_backbone is 'maybe': should be a valid boolean"),
    (["--data.augmentation.scale_range", "[1]"], r"data\.augmentation\.scale_range.*\[1\]"),
    (["--data.augmentation.scale_range", "[1"], r"--data\.augmentation\.scale_range \[1: "),
    (["--data.augmentation.name", "rrc3"], "name is 'rrc3': should be 'wrs', 'rrc2', 'rrc_scale' or 'rrc_window'"),
    (["--model", "3"], r"model is '3', expected keys and values"),
    (["--model", "{nope: 3}"], r"unknown key model\.nope"),
    (["--seed", "1", "--seed.more", "2"], "seed already has a value"),
    (["--model.backbone.model_kwargs", "3"], r"model\.backbone\.model_kwargs is '3': should be a valid dictionary"),
]


@pytest.mark.parametrize(("options", "message"), OPTION_MISTAKES)
def test_mistaken_options_are_named_in_one_line(options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        override(BASE, options=options)
    assert "\n" not in str(raised.value)


FILE_MISTAKES = [
    ("nope: 1", "unknown key nope"),
    ("model:\n  nope: 1", r"unknown key model\.nope"),
    ("optimizer:\n  epochs_: 3", r"unknown key optimizer\.epochs_; choose optimizer\.epochs"),
    ("model:\n  backbone:\n    weight: none", "choose model.backbone.weights"),
    ("model: 3", "model is 3, expected keys and values"),
    ("model:", "model is None, expected keys and values"),
    ("model:\n  backbone: convnext_tiny", r"model\.backbone is 'convnext_tiny', expected keys and values"),
    ("model:\n  cascade_steps: two", r"model\.cascade_steps is 'two'"),
    ("model:\n  heads: both", r"model\.heads is 'both'"),
    ("seed: [1]", r"seed is \[1\]"),
    ("3: 4", "3"),
    ("[1, 2]", "holds list, expected keys and values"),
    ("", "holds NoneType, expected keys and values"),
    ("a: [1", "is no YAML"),
    ("seed: \x00", "is no YAML"),
]


@pytest.mark.parametrize(("text", "message"), FILE_MISTAKES)
def test_mistaken_files_are_named_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as raised:
        override(BASE, file)
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=rf"{re.escape(str(file))}.*{reason}"):
            override(BASE, file)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="is no YAML"):
        override(BASE, tmp_path / "bytes.yaml")


def test_plain_content_names_where_it_came_from() -> None:
    with pytest.raises(UserError, match=r"\(a weights file\): unknown key depth"):
        parse(ModelConfig, {"depth": 3}, "a weights file")
    with pytest.raises(UserError, match=r"\(a weights file\): backbone is 3, expected keys and values"):
        parse(ModelConfig, {"backbone": 3}, "a weights file")
