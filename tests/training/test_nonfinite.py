"""NaN and infinity planted wherever they may come from: the step is skipped or the run stops; nothing is spoiled."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from small_dataset import TRAIN_SCENES, options
from spnet.cli.main import main
from spnet.models.checkpoints import read_weights
from spnet.models.spnet import SPNet
from spnet.runs.folder import LAST
from spnet.runs.record import read_record
from spnet.training import module as module_module
from spnet.training.module import TrainingModule
from spnet.training.nonfinite import MOST_IN_A_ROW, first_non_finite, spread_non_finite
from spnet.training.objective import SPNetLoss
from spnet.training.optimizer import make_optimizer
from spnet.training.sealed_checkpoints import SealedCheckpoints
from spnet.types import SceneBatch

EPOCH_STEPS = TRAIN_SCENES // 2  # batches of two images, two views of each
STEP = 7  # the first of the second epoch is 6
BAD = [math.nan, math.inf, -math.inf]
Plant = Callable[[TrainingModule, pytest.MonkeyPatch, float], None]


def command(data: Path, run: Path, **keys: Any) -> list[str]:
    """Query-centric pre-training has a teacher, a queue and statistics."""
    keys = {"optimizer__epochs": 2, "optimizer__warmup_steps": 4, "checkpoint__every_n_steps": 1} | keys
    return ["train", "spnet-tiny", "--stage", "pretrain", "--data", str(data), "--output", str(run), *options(**keys)]


def in_image(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
    original = SPNetLoss.forward

    def forward(self: SPNetLoss, network: SPNet, batch: SceneBatch) -> dict[str, Tensor]:
        images = network.backbone.normalize(batch.images, batch.sizes).clone()
        images[1, 1, 20, 20] = value
        return original(self, network, replace(batch, images=images))

    patch.setattr(SPNetLoss, "forward", forward)


def in_embedding(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
    original = SPNet.embed

    def embed(self: SPNet, *arguments: Any) -> Tensor:
        embeddings = original(self, *arguments)
        return torch.cat([embeddings[:1] * value, embeddings[1:]])

    patch.setattr(SPNet, "embed", embed)


def in_loss(name: str) -> Plant:
    def plant(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
        original = SPNetLoss.forward

        def forward(self: SPNetLoss, network: SPNet, batch: SceneBatch) -> dict[str, Tensor]:
            losses = original(self, network, batch)
            return losses | {name: losses[name] + value}  # a constant: its gradient is finite

        patch.setattr(SPNetLoss, "forward", forward)

    return plant


def in_gradient(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
    parameter = module.network.anchors.embed.weight

    def spoil(gradient: Tensor) -> Tensor:
        handle.remove()
        return torch.full_like(gradient, value)

    handle = parameter.register_hook(spoil)


def in_memory(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
    memory: Any = module.objective.memory
    memory.embeddings[5, 3] = value


def in_statistics(module: TrainingModule, patch: pytest.MonkeyPatch, value: float) -> None:
    norms = [one for one in module.network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    assert norms[0].running_var is not None
    norms[0].running_var[0] = value


SKIPPED: dict[str, tuple[Plant, str]] = {  # where, and what the message names
    "image": (in_image, "loss/"),
    "embedding": (in_embedding, "loss/"),
    "loss of anchors": (in_loss("anchor_class"), "loss/anchor_class"),
    "loss of boxes": (in_loss("box_0"), "loss/box_0"),
    "loss of re-id": (in_loss("reid"), "loss/reid"),
    "gradient": (in_gradient, "the gradient of network.anchors.embed.weight"),
}
STOPPED = {"memory": (in_memory, "objective.memory.embeddings"), "statistics": (in_statistics, "running_var")}


def plant_at(steps: range, plant: Plant, value: float, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Plant in these steps (from 0); returns the images of the batches, which grow as the run goes on."""
    original, images = TrainingModule.training_step, []

    def training_step(self: TrainingModule, batch: SceneBatch, index: int) -> Tensor:
        loader: Any = self.trainer.train_dataloader
        images.append(list(dict.fromkeys(loader.scenes.names_of(batch.scene_ids.tolist()))))
        with pytest.MonkeyPatch.context() as patch:
            if self.global_step in steps:
                plant(self, patch, value)
            return original(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    return images


def snapshot(module: TrainingModule) -> dict[str, Tensor]:
    state = {name: value.clone() for name, value in module.state_dict().items() if "memory" not in name}
    optimizer: Any = module.optimizers(use_pl_optimizer=False)
    for row, moments in optimizer.state_dict()["state"].items():
        state |= {f"{row}.{name}": value.clone() for name, value in moments.items()}
    return state


def changes(step: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which tensors the optimizer's step of this number changed; filled as the run goes on."""
    original, changed = TrainingModule.optimizer_step, {}

    def optimizer_step(self: TrainingModule, *arguments: Any, **keywords: Any) -> None:
        number, before = self.global_step, snapshot(self)
        original(self, *arguments, **keywords)
        if number == step:
            after = snapshot(self)
            none = torch.zeros(0)  # moments that there were not
            changed.update({name: not torch.equal(value, before.get(name, none)) for name, value in after.items()})

    monkeypatch.setattr(TrainingModule, "optimizer_step", optimizer_step)
    return changed


@pytest.mark.parametrize(
    ("value", "fused"), [(math.nan, False), (math.inf, False), (math.nan, True)], ids=["nan", "inf", "nan-fused"]
)
@pytest.mark.parametrize("where", SKIPPED)
def test_a_step_that_is_not_finite_is_skipped(
    where: str,
    value: float,
    fused: bool,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fused, as on a GPU, the optimizer skips it by itself, and that is read later."""
    plant, cause = SKIPPED[where]
    images, changed = plant_at(range(3, 4), plant, value, monkeypatch), changes(3, monkeypatch)
    monkeypatch.setattr(
        module_module, "make_optimizer", lambda network, config, _: make_optimizer(network, config, fused)
    )
    keys = {"optimizer__epochs": 1, "checkpoint__every_n_steps": EPOCH_STEPS}
    assert main(command(small_data, tmp_path / "run", **keys)) == 0
    moved = {name for name, different in changed.items() if different}
    statistics = {name for name in changed if "running" in name or "num_batches" in name}
    followers = {name for name in changed if name.startswith("objective.teacher.")} if fused else set()
    assert not moved - statistics - followers
    assert len(changed) > 300
    lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"step 4 is skipped: {'its loss or gradient' if fused else cause}")
    assert lines[0].endswith(f" is not finite; images: {', '.join(images[3])}")
    assert len(images) == EPOCH_STEPS
    assert all(tensor.isfinite().all() for tensor in read_weights(tmp_path / "run").state.values())
    assert all(tensor.isfinite().all() for tensor in last_state(tmp_path / "run").values())


def last_state(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = SealedCheckpoints().load_checkpoint(run / LAST)["state_dict"]
    return {name: value for name, value in state.items() if value.is_floating_point()}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", STOPPED)
def test_a_buffer_that_is_not_finite_ends_the_run(
    where: str,
    value: float,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message names it and the images of the last steps; the checkpoint is one of before."""
    plant, name = STOPPED[where]
    plant_at(range(STEP, STEP + 1), plant, value, monkeypatch)
    assert main(command(small_data, tmp_path / "run")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"spnet train: error: training diverged: at step {STEP + 1} ")
    assert f"{name} is not finite" in error
    record = read_record(tmp_path / "run")
    assert record is not None
    assert record.state == "diverged"
    assert SealedCheckpoints().load_checkpoint(tmp_path / "run" / LAST)["global_step"] == STEP
    assert all(tensor.isfinite().all() for tensor in last_state(tmp_path / "run").values())


def test_many_in_a_row_end_the_run(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_at(range(EPOCH_STEPS - 2, 100), in_loss("reid"), math.nan, monkeypatch)
    assert main(command(small_data, tmp_path / "run", optimizer__epochs=9, data__batch_size=4)) == 2
    skipped = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(skipped) == 1 + min(MOST_IN_A_ROW, 2 + EPOCH_STEPS)
    assert "training diverged: " in skipped[-1]
    assert "images: train" in skipped[-1]
    assert all(tensor.isfinite().all() for tensor in last_state(tmp_path / "run").values())


def test_a_few_in_a_row_do_not(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_at(range(EPOCH_STEPS - 2, EPOCH_STEPS + 2), in_loss("reid"), math.nan, monkeypatch)
    assert main(command(small_data, tmp_path / "run")) == 0
    assert capsys.readouterr().err.count("is skipped") == 4


def test_a_run_with_a_skipped_step_resumes_to_the_bit(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_at(range(STEP, STEP + 1), in_loss("reid"), math.nan, monkeypatch)
    assert main(command(small_data, tmp_path / "whole")) == 0
    original = TrainingModule.on_train_batch_start

    def stop(self: TrainingModule, *arguments: Any) -> None:
        if self.global_step == STEP + 2:
            raise KeyboardInterrupt
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", stop)
        assert main(command(small_data, tmp_path / "run")) == 130
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def scale_losses(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """16-bit precision with loss scaling on a CPU, for which Lightning would take bfloat16."""
    make_trainer: Any = L.Trainer

    def trainer(plugins: list[Any], precision: str, **options: Any) -> L.Trainer:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        made: L.Trainer = make_trainer(plugins=[*plugins, MixedPrecision("16-mixed", "cpu", scaler)], **options)
        return made

    monkeypatch.setattr(L, "Trainer", trainer)


@pytest.mark.parametrize("scale", [2.0**120, 2.0])
def test_loss_scaling_is_not_mistaken_for_it(
    scale: float, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What overflows at a large scale is part of scaling; a loss that is not finite has nothing to do with it."""
    scale_losses(scale, monkeypatch)
    images = plant_at(range(STEP, STEP + 1) if scale == 2.0 else range(0), in_loss("reid"), math.nan, monkeypatch)
    changed = changes(0, monkeypatch)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
        assert main(command(small_data, tmp_path / "run", data__augmentation__crop_size=96)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    expected = f"step {STEP + 1} is skipped: loss/reid is not finite; images: {', '.join(images[STEP])}"
    assert lines == ([expected] if scale == 2.0 else [])
    assert changed["network.anchors.embed.weight"] == (scale == 2.0)  # the scaler skipped the first step


def test_a_gradient_that_no_scale_makes_finite_counts(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scale_losses(4.0, monkeypatch)
    plant_at(range(2, 100), in_gradient, math.nan, monkeypatch)
    assert main(command(small_data, tmp_path / "run", data__augmentation__crop_size=96)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert lines[0].startswith("step 4 is skipped: the gradient is not finite")  # 4, 2: scaled; 1: no longer
    assert "training diverged" in lines[-1]


def test_a_state_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    state = {"global_step": 3, "state_dict": {"weight": torch.ones(3), "count": torch.tensor(2)}}
    SealedCheckpoints().save_checkpoint(state, tmp_path / LAST)
    moments = {"optimizer_states": [{"state": {0: {"exp_avg": torch.tensor([1.0, math.inf])}}}]}
    for spoilt, name in (
        ({"state_dict": {"weight": torch.tensor([1, math.nan])}}, "weight"),
        (moments, r"optimizer_states\.0\.state\.0\.exp_avg"),
    ):
        with pytest.raises(ValueError, match=rf"diverged: at step 3 {name} is not finite"):
            SealedCheckpoints().save_checkpoint(state | spoilt, tmp_path / LAST)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    assert SealedCheckpoints().load_checkpoint(tmp_path / LAST)["state_dict"]["weight"].isfinite().all()


def test_the_first_bad_tensor_is_named() -> None:
    tensors = [("empty", torch.zeros(0)), ("count", torch.tensor(3)), ("fine", torch.full((3,), 3e38))]
    assert first_non_finite(tensors) is None
    assert first_non_finite([]) is None
    for value in BAD:
        bad = [("first", torch.tensor([[0.0, value]])), ("second", torch.tensor(math.nan))]
        assert first_non_finite([*tensors, *bad]) == "first"


@pytest.mark.parametrize("value", [2.5, *BAD])
def test_a_loss_that_is_not_finite_spreads(value: float) -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = spread_non_finite((weight * weight).sum() + (value - 2.5))
    loss.backward()
    assert weight.grad is not None
    if math.isfinite(value):
        assert loss.item() == 5.0
        assert weight.grad.tolist() == [2.0, 4.0]
    else:
        assert weight.grad.isnan().all()
