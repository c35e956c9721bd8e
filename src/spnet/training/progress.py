"""What a person sees of a run, and how a person stops it."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LEAST_SECONDS = 0.2  # between two looks at the loss, each of which waits for the device


class RunProgress(ProgressBar):
    """One bar over all steps with the time left; a line an epoch where the output is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(stderr=True)
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._looked = self._started = 0.0
        self._first_step = 0

    def disable(self) -> None:
        """Show nothing (processes other than the first)."""
        self._bar.disable = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._started, self._first_step = time.monotonic(), trainer.global_step
        total = int(trainer.estimated_stepping_batches)
        self._task = self._bar.add_task("", total=total, completed=trainer.global_step, epoch="", loss=float("nan"))
        self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: Any) -> None:
        """Advance it."""
        if self._bar.disable or time.monotonic() - self._looked < LEAST_SECONDS:
            return
        self._looked = time.monotonic()
        epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar.update(self._task, completed=trainer.global_step, epoch=epoch, loss=_loss(trainer))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Where no bar can be drawn, a line."""
        if not self.console.is_terminal and trainer.is_global_zero:
            seconds = time.monotonic() - self._started
            to_do = int(trainer.estimated_stepping_batches) - trainer.global_step
            left = seconds / max(1, trainer.global_step - self._first_step) * to_do
            line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {_loss(trainer):.3f}"
            print(f"{line}  {seconds:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._bar.stop()


def _loss(trainer: L.Trainer) -> float:
    return float(trainer.callback_metrics.get("loss", float("nan")))


class LossCurves(Callback):
    """Appends the losses to a CSV file, `step` and one column a loss; a resumed run goes on where its checkpoint was.

    Args:
        file: the CSV file.
        every: steps between two rows.
    """

    def __init__(self, file: Path, every: int = 10) -> None:
        self.file = file
        self.every = every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Drop what came after the checkpoint."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        if lines:
            kept = [row for row in lines[1:] if int(row.split(",")[0]) <= trainer.global_step]
            self.file.write_text("\n".join([lines[0], *kept, ""]))
        else:
            self.file.unlink(missing_ok=True)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: Any) -> None:
        """Write a row now and then; only then the device is waited for."""
        if trainer.global_step % self.every or not trainer.is_global_zero:
            return
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("loss/")}
        if not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(",".join(["step", *losses]) + "\n")
        with self.file.open("a") as stream:
            stream.write(",".join([str(trainer.global_step), *(f"{value:.6g}" for value in losses.values())]) + "\n")


class Interrupted(Exception):
    """Training was stopped by its user; its state is saved."""


class StopOnInterrupt(Callback):
    """Ctrl-C or SIGTERM ends training after the step in hand, with its state saved whole; twice ends at once.

    Args:
        checkpoint: the file to save to.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._wanted = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen."""
        process = os.getpid()

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:  # a worker that reads images hears it too, and leaves it to this process
                return
            if self._wanted:
                raise KeyboardInterrupt
            self._wanted = True
            print("\nstopping after this step; again to stop at once", file=sys.stderr)

        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, stop)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: Any) -> None:
        """Save and stop, if that is wanted. Raises Interrupted."""
        if self._wanted:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the signals back."""
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
