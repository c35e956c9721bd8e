"""`build_trainer`: the parts of a run, with a user's callbacks and loggers among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import Logger

from small_dataset import TRAIN_SCENES, options
from spnet import Searcher, TrainingModule, build_trainer, fit, get_preset, override
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.models.checkpoints import read_weights
from spnet.runs.folder import VALIDATION_CURVES

EPOCH_STEPS = TRAIN_SCENES // 4


class Watch(Callback):
    """Keeps what a callback sees at the end of each epoch."""

    def __init__(self) -> None:
        self.modules: set[type] = set()
        self.seen: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.modules.add(type(pl_module))
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class Kept(Logger):
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "kept"

    @property
    def version(self) -> str:
        return "0"

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        pass

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))


def make_config(data: Path, **keys: Any) -> RunConfig:
    return override(get_preset("spnet-tiny", "finetune"), options=["--data.root", str(data), *options(**keys)])


def test_parts_train_with_callbacks_and_loggers(small_data: Path, tmp_path: Path) -> None:
    run, watch, kept = tmp_path / "run", Watch(), Kept()
    config = make_config(small_data, optimizer__epochs=4, validation__split="test", validation__every_n_epochs=1)
    trainer, module, loader = build_trainer(config, str(run), [watch, LearningRateMonitor("step")], [kept])
    assert not run.exists()
    assert len(loader) == EPOCH_STEPS
    trainer.fit(module, loader)
    assert watch.modules == {TrainingModule}
    for seen in watch.seen:
        parts = [seen[f"loss/{name}"] for name in ("anchor_class", "box_0", "reid")]
        assert seen["loss/total"] == pytest.approx(sum(parts), rel=1e-4)
        assert 0 <= seen["val/mAP"] <= 1
    assert len(watch.seen) == len((run / VALIDATION_CURVES).read_text().splitlines()) - 1 == 4
    validated = [(step, row["val/mAP"]) for step, row in kept.rows if "val/mAP" in row]
    assert [step for step, _ in validated] == [EPOCH_STEPS * epoch for epoch in (1, 2, 3, 4)]
    assert [value for _, value in validated] == pytest.approx([seen["val/mAP"] for seen in watch.seen])
    assert any("loss/total" in row for _, row in kept.rows)
    assert any("lr-AdamW" in name for _, row in kept.rows for name in row)
    assert len(Searcher(module.network).detect([torch.zeros(3, 64, 96, dtype=torch.uint8)])) == 1


def test_a_run_with_callbacks_is_the_run_without(small_data: Path, tmp_path: Path) -> None:
    """They are called and change nothing by being there; the logger takes the place of the one that is configured."""
    watch = Watch()
    plain = fit(make_config(small_data), tmp_path / "plain")
    watched = fit(make_config(small_data), str(tmp_path / "watched"), callbacks=[watch], loggers=[Kept()])
    assert len(watch.seen) == 1
    states = [read_weights(file).state for file in (plain, watched)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert list((tmp_path / "plain" / "logs").glob("events*"))
    assert not list((tmp_path / "watched" / "logs").glob("events*"))


def test_lightnings_early_stopping_knows_the_metrics(small_data: Path, tmp_path: Path) -> None:
    stop = EarlyStopping("val/mAP", mode="max", patience=1, min_delta=2.0, check_on_train_epoch_end=True)
    config = make_config(
        small_data, optimizer__epochs=5, validation__split="test", validation__every_n_epochs=1, logger="none"
    )
    trainer, module, loader = build_trainer(config, tmp_path / "run", [stop])
    assert not trainer.loggers
    trainer.fit(module, loader)
    assert trainer.current_epoch == 2  # no epoch is better by 2 than the first


def test_what_does_not_fit_is_refused(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"has no split .train.; it has none: make it with"):
        build_trainer(make_config(tmp_path / "nowhere"), tmp_path / "run")
    with pytest.raises(UserError, match=r"optimizer\.epochs"):
        build_trainer(make_config(small_data, optimizer__epochs=-1), tmp_path / "run")
    monkeypatch.setattr("spnet.training.loggers.find_spec", lambda package: None)
    config = make_config(small_data, logger="wandb")
    with pytest.raises(UserError, match="logger wandb needs the package wandb"):
        build_trainer(config, tmp_path / "run")
    assert build_trainer(config, tmp_path / "run", loggers=[]).trainer.loggers == []  # the key is not asked then
    assert not (tmp_path / "run").exists()
