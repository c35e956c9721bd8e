"""Training curves as CSV files that a resumed run continues."""

from collections.abc import Mapping
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback


class MetricTable:
    """A CSV file with a column `step` and one column a metric, appended to row by row.

    Args:
        file: the CSV file; its folder is made with the first row.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def keep_until(self, step: int) -> None:
        """Remove the rows after a step, which a resumed run computes again."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        if lines:
            kept = [row for row in lines[1:] if int(row.split(",")[0]) <= step]
            self.file.write_text("\n".join([lines[0], *kept, ""]))
        else:
            self.file.unlink(missing_ok=True)

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a row; the first one decides the columns."""
        if not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(",".join(["step", *metrics]) + "\n")
        with self.file.open("a") as stream:
            stream.write(",".join([str(step), *(f"{value:.6g}" for value in metrics.values())]) + "\n")


def read_losses(trainer: L.Trainer) -> dict[str, float]:
    """The losses of the last step, `loss/total` among them; the device is waited for once, not once for each."""
    losses = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("loss/")}
    return dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True)) if losses else {}


class LossCurves(Callback):
    """Appends the losses to a CSV file, `step` and one column a loss.

    Lightning's `CSVLogger` does not fit: it deletes the file that a resumed run would continue, knows nothing of the
    step a checkpoint was taken at, and keeps every row in memory to rewrite the file when a column is new.

    Args:
        file: the CSV file.
        every: steps between two rows; only for these the device is waited for.
    """

    def __init__(self, file: Path, every: int = 10) -> None:
        self.table = MetricTable(file)
        self.every = every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the rows after the checkpoint."""
        if trainer.is_global_zero:
            self.table.keep_until(trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Write a row every `every` steps."""
        if trainer.global_step % self.every or not trainer.is_global_zero:
            return
        self.table.append(trainer.global_step, read_losses(trainer))
