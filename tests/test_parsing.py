"""Configurations from files and options: what wins, what is refused and how it is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spnet.config import ModelConfig
from spnet.errors import UserError
from spnet.experiments.base import CONFIGURATIONS, Stage, named
from spnet.parsing import override, parse, to_plain, to_yaml
from spnet.training.config import RunConfig

BASE = RunConfig()


def write(folder: Path, text: str) -> Path:
    file = folder / "keys.yaml"
    file.write_text(text)
    return file


def test_options_replace_keys_at_any_depth() -> None:
    config = override(
        BASE, options=["--seed", "7", "--model.cascade_steps=2", "--data.augmentation.window", "[90, 150]"]
    )
    augmentation = replace(BASE.data.augmentation, window=(90, 150))
    data = replace(BASE.data, augmentation=augmentation)
    assert config == replace(BASE, seed=7, model=replace(BASE.model, cascade_steps=2), data=data)


def test_nothing_replaced_is_the_base() -> None:
    base = named("spnet-l", "pretrain")
    assert override(base) == base


def test_options_win_over_the_file_and_the_file_over_the_base(tmp_path: Path) -> None:
    base = replace(BASE, seed=1)
    file = write(tmp_path, "seed: 2\noptimiser:\n  epochs: 5\n  learning_rate: 1e-3\n")
    assert override(base, file).seed == 2
    config = override(base, file, ["--seed", "3"])
    assert (config.seed, config.optimiser.epochs) == (3, 5)
    assert config.optimiser.learning_rate == 1e-3  # YAML alone would read a string
    assert config.optimiser.weight_decay == base.optimiser.weight_decay


def test_a_table_of_free_keys() -> None:
    config = override(BASE, options=["--model.trunk.options", "{depths: [1, 1, 1, 1], act_layer: gelu}"])
    assert config.model.trunk.options == {"depths": [1, 1, 1, 1], "act_layer": "gelu"}


def test_nothing_can_be_chosen_again() -> None:
    base = named("spnet-s", "pretrain")
    assert base.optimiser.trunk_learning_rate == 1e-5
    assert override(base, options=["--optimiser.trunk_learning_rate", "null"]).optimiser.trunk_learning_rate is None


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("path", ["query", "object"])
def test_every_configuration_survives_its_file(name: str, stage: Stage, path: str, tmp_path: Path) -> None:
    config = named(name, stage, path)  # type: ignore[arg-type]
    text = to_yaml(config)
    assert parse(RunConfig, yaml.safe_load(text), "text") == config
    # also over a base where everything that can be nothing is something
    other = named("spnet-s", "pretrain", "query")
    other = replace(other, weights=replace(other.weights, source="somewhere"))
    assert override(other, write(tmp_path, text)) == config


def test_plain_keys_are_all_keys() -> None:
    plain = to_plain(ModelConfig())
    assert plain["trunk"]["name"] == "convnext_tiny"
    assert plain["inference"]["window"] == [900, 1500]
    assert set(plain) == set(vars(ModelConfig()))


OPTION_MISTAKES = [
    (["--model.nope", "1"], r"\(options\): .*--model\.nope"),
    (["--nope", "1"], r"--nope 1; choose model\.\*, objective\.\*, data\.\*, optimiser\.\*, weights\.\*, seed$"),
    (["--optimiser.epoch", "1"], "--optimiser.epoch 1; choose optimiser.epochs"),
    (
        ["--optimiser.xyzzy", "1"],
        r"choose optimiser\.epochs, optimiser\.learning_rate, .*, optimiser\.checkpoint_steps$",
    ),
    (["--model.xyzzy", "1"], r"choose model\.trunk\.\*, .*, model\.inference\.\*"),
    (["--xyzzy.epochs", "1"], r"choose model\.\*, .*, seed$"),
    (["more"], "more"),
    (["--model.cascade", "1"], r"--model\.cascade "),  # no abbreviations
    (["--model.cascade_steps"], r"--model\.cascade_steps: expected one argument"),
    (["--model.cascade_steps", "two"], r'"model\.cascade_steps": Expected a int\. Got value: two'),
    (["--model.cascade_steps", "1.5"], r'"model\.cascade_steps".*1\.5'),
    (["--model.heads", "both"], r'"model\.heads": Expected a one of \[\'shared\', \'separate\'\]\. Got value: both'),
    (["--optimiser.freeze_trunk", "maybe"], r'"optimiser\.freeze_trunk".*maybe'),
    (["--data.augmentation.window", "[1]"], r'"data\.augmentation\.window".*\[1\]'),
    (["--data.augmentation.name", "rrc3"], "name is 'rrc3', must be one of wrs, rrc2, rrc_scale"),
    (["--model", "3"], r'"model"'),
    (["--model", "{nope: 3}"], "'model'.*'nope'"),
    (["--model.trunk.options", "3"], r'"model\.trunk\.options".*3'),
]


@pytest.mark.parametrize(("options", "message"), OPTION_MISTAKES)
def test_mistaken_options_are_named_in_one_line(options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        override(BASE, options=options)
    assert "\n" not in str(raised.value)


FILE_MISTAKES = [
    ("nope: 1", "'nope'"),
    ("model:\n  nope: 1", "'model'.*'nope'"),
    ("optimizer:\n  epochs: 3", "'optimizer.epochs' is not accepted; choose optimiser.epochs"),
    ("model:\n  trunk:\n    weight: none", "choose model.trunk.weights"),
    ("model: 3", "model is 3, expected keys and values"),
    ("model:", "model is None, expected keys and values"),
    ("model:\n  trunk: convnext_tiny", r"model\.trunk is 'convnext_tiny', expected keys and values"),
    ("model:\n  cascade_steps: two", r'"model\.cascade_steps".*two'),
    ("model:\n  heads: both", r'"model\.heads".*both'),
    ("seed: true", '"seed".*True'),
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
    with pytest.raises(UserError, match=r"\(a weights file\): .*'depth'"):
        parse(ModelConfig, {"depth": 3}, "a weights file")
    with pytest.raises(UserError, match=r"\(a weights file\): trunk is 3"):
        parse(ModelConfig, {"trunk": 3}, "a weights file")
