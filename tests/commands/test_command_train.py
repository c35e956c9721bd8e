"""`spnet train` before it trains: which configuration the options make."""

from pathlib import Path

import pytest
import yaml

from spnet.cli import main
from spnet.experiments.base import named
from spnet.parsing import parse, to_yaml
from spnet.training.config import RunConfig


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> RunConfig:
    assert main(["train", *arguments, "--show"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return parse(RunConfig, yaml.safe_load(printed.out), "printed")


@pytest.mark.parametrize("name", ["spnet-s", "spnet-l", "spnet-tiny"])
def test_names_stages_and_paths(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(capsys, name) == named(name, "finetune", "object")
    assert show(capsys, name, "--stage", "pretrain") == named(name, "pretrain", "query")
    assert show(capsys, name, "--stage", "pretrain", "--path", "object") == named(name, "pretrain", "object")
    assert show(capsys, "--path", "query", name) == named(name, "finetune", "query")


def test_short_options_are_keys(capsys: pytest.CaptureFixture[str]) -> None:
    config = show(capsys, "spnet-s", "--data", "data/prw", "--split", "trainval", "--weights", "runs/pre")
    assert (config.data.root, config.data.train_split, config.weights.source) == ("data/prw", "trainval", "runs/pre")
    long = ["--data.root", "data/prw", "--data.train_split", "trainval", "--weights.source", "runs/pre"]
    assert show(capsys, "spnet-s", *long) == config


def test_keys_may_stand_among_options(capsys: pytest.CaptureFixture[str]) -> None:
    config = show(capsys, "spnet-s", "--model.cascade_steps", "2", "--data", "d", "--seed=5", "--optimiser.epochs", "3")
    assert (config.model.cascade_steps, config.data.root, config.seed, config.optimiser.epochs) == (2, "d", 5, 3)


def test_a_file_then_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("seed: 3\nmodel:\n  cascade_steps: 1\n")
    config = show(capsys, "spnet-s", "--config", str(file), "--seed", "4")
    assert (config.seed, config.model.cascade_steps) == (4, 1)


def test_what_is_shown_is_a_file_to_train_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "spnet-l", "--stage", "pretrain", "--show"]) == 0
    (tmp_path / "shown.yaml").write_text(shown := capsys.readouterr().out)
    assert show(capsys, "spnet-tiny", "--config", str(tmp_path / "shown.yaml")) == named("spnet-l", "pretrain")
    assert shown == to_yaml(named("spnet-l", "pretrain"))


MISTAKES = [
    ([], "which configuration? choose spnet-s, spnet-l, spnet-tiny, or --resume RUN"),
    (["spnet-m"], "configuration 'spnet-m' is unknown; choose spnet-s, spnet-l, spnet-tiny"),
    (["spnet-s", "spnet-l"], "unrecognized arguments: spnet-l"),
    (["spnet-s", "--model.nope", "1"], "configuration (options): unrecognized arguments: --model.nope 1"),
    (["spnet-s", "--model.cascade_steps", "two"], '"model.cascade_steps": Expected a int. Got value: two'),
    (["spnet-s", "--config", "none.yaml"], "configuration 'none.yaml' cannot be read: No such file or directory"),
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
