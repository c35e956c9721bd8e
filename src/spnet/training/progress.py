"""Shows how far a run is."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spnet.training.curves import read_losses

logger = logging.getLogger(__name__)

LEAST_SECONDS = 0.2  # between two updates of the loss shown, each of which waits for the device


class RunProgress(ProgressBar):
    """One bar over all steps with the time left; a logged line an epoch where the output is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(stderr=True)
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}{task.fields[validation]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._updated = self._started = 0.0
        self._first_step = 0
        self._validation = ""

    def disable(self) -> None:
        """Show nothing (processes other than the first)."""
        self._bar.disable = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._started, self._first_step = time.monotonic(), trainer.global_step
        total = int(trainer.estimated_stepping_batches)
        self._task = self._bar.add_task(
            "", total=total, completed=trainer.global_step, epoch="", loss=float("nan"), validation=""
        )
        self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Advance it."""
        if self._bar.disable or time.monotonic() - self._updated < LEAST_SECONDS:
            return
        self._updated = time.monotonic()
        fields: dict[str, Any] = {"epoch": _epoch(trainer), "loss": _loss(trainer), "validation": self._validation}
        self._bar.update(self._task, completed=trainer.global_step, **fields)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log a line where the bar cannot be shown."""
        if not self.console.is_terminal and trainer.is_global_zero:
            seconds = time.monotonic() - self._started
            to_do = int(trainer.estimated_stepping_batches) - trainer.global_step
            left = seconds / max(1, trainer.global_step - self._first_step) * to_do
            losses = f"loss {_loss(trainer):.3f}{self._validation}"
            logger.info(f"epoch {_epoch(trainer)}  {losses}  {seconds:.0f} s, {left:.0f} s left")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop updating the bar."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Restore the terminal."""
        self._bar.stop()

    def show(self, metrics: Mapping[str, float]) -> None:
        """Show the metrics of a validation from now on, beside the loss."""
        self._validation = "  val" + "".join(
            f" {name} {value:.3f}" for name, value in metrics.items() if "/" not in name
        )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the bar inside the block, where another one may be shown."""
        self._bar.stop()
        yield
        self._bar.start()


def _epoch(trainer: L.Trainer) -> str:
    return f"{trainer.current_epoch + 1}/{trainer.max_epochs}"


def _loss(trainer: L.Trainer) -> float:
    return read_losses(trainer).get("loss/total", float("nan"))
