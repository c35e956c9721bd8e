"""`spnet train` before it trains: which configuration the options make."""

from pathlib import Path

import pytest
import yaml

from spnet.cli.main import main
from spnet.config.io import parse, to_yaml
from spnet.config.presets import get_preset
from spnet.config.schema import RunConfig


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> RunConfig:
    assert main(["train", *arguments, "--print-config"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return parse(RunConfig, yaml.safe_load(printed.out), "printed")


@pytest.mark.parametrize("name", ["spnet-s", "spnet-l", "spnet-tiny"])
def test_names_stages_and_paths(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(capsys, name) == get_preset(name, "finetune", "object")
    assert show(capsys, name, "--stage", "pretrain") == get_preset(name, "pretrain", "query")
    assert show(capsys, name, "--stage", "pretrain", "--pathway", "object") == get_preset(name, "pretrain", "object")
    assert show(capsys, "--pathway", "query", name) == get_preset(name, "finetune", "query")


def test_short_options_are_keys(capsys: pytest.CaptureFixture[str]) -> None:
    config = show(capsys, "spnet-s", "--data", "data/prw", "--split", "trainval", "--weights", "runs/pre")
    assert (config.data.root, config.data.train_split, config.weights.init_from) == ("data/prw", "trainval", "runs/pre")
    long = ["--data.root", "data/prw", "--data.train_split", "trainval", "--weights.init_from", "runs/pre"]
    assert show(capsys, "spnet-s", *long) == config


def test_validation_options_are_keys(capsys: pytest.CaptureFixture[str]) -> None:
    config = show(capsys, "spnet-s", "--val-split", "test", "--val-protocol", "G100", "--logger", "none")
    assert (config.validation.split, config.validation.protocol, config.logger) == ("test", "G100", "none")
    assert (
        show(capsys, "spnet-s", "--validation.split", "test", "--validation.protocol", "G100", "--logger=none")
        == config
    )


def test_keys_may_stand_among_options(capsys: pytest.CaptureFixture[str]) -> None:
    config = show(capsys, "spnet-s", "--model.cascade_steps", "2", "--data", "d", "--seed=5", "--optimizer.epochs", "3")
    assert (config.model.cascade_steps, config.data.root, config.seed, config.optimizer.epochs) == (2, "d", 5, 3)


def test_a_file_then_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("seed: 3\nmodel:\n  cascade_steps: 1\n")
    config = show(capsys, "spnet-s", "--config", str(file), "--seed", "4")
    assert (config.seed, config.model.cascade_steps) == (4, 1)


def test_what_is_shown_is_a_file_to_train_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "spnet-l", "--stage", "pretrain", "--print-config"]) == 0
    (tmp_path / "shown.yaml").write_text(shown := capsys.readouterr().out)
    assert show(capsys, "spnet-tiny", "--config", str(tmp_path / "shown.yaml")) == get_preset("spnet-l", "pretrain")
    assert shown == to_yaml(get_preset("spnet-l", "pretrain"))
    assert show(capsys, "--config", str(tmp_path / "shown.yaml")) == get_preset("spnet-l", "pretrain")


MISTAKES = [
    ([], "which preset? choose spnet-s, spnet-l, spnet-lite, spnet-tiny, --config FILE or --resume RUN"),
    (["spnet-m"], "preset 'spnet-m' is unknown; choose spnet-s, spnet-l, spnet-lite, spnet-tiny"),
    (["spnet-s", "spnet-l"], "configuration (options): 'spnet-l' is no option; expected --KEY VALUE"),
    (["spnet-s", "--model.nope", "1"], "configuration (options): unknown key model.nope; choose "),
    (["spnet-s", "--model.cascade_steps", "two"], "model.cascade_steps is 'two': should be a valid integer"),
    (["spnet-s", "--config", "none.yaml"], "configuration 'none.yaml' cannot be read: No such file or directory"),
    (["--config", "x.yaml", "--stage", "pretrain"], "--stage and --pathway belong to a NAME; with --config alone set "),
    (["--resume", "runs/x", "--val-split", "test"], "goes on as the run was configured: drop --val-split"),
    (["spnet-s", "--resume", "runs/x"], "--resume runs/x goes on as the run was configured: drop spnet-s"),
    (["--resume", "runs/x"], "'runs/x' is no run: it has no config.yaml"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("spnet train: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_nothing_is_trained_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    show(capsys, "spnet-s", "--data", "nowhere")
    assert main(["train", "spnet-tiny"]) == 2
    assert "--data DIR" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
