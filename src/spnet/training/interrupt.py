"""Stops a run on Ctrl-C or SIGTERM with its state saved."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from spnet import distributed

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """Training was stopped by a signal; its state is saved."""


class StopOnInterrupt(Callback):
    """Ends training on SIGINT or SIGTERM after the current step, with its state saved; a second signal ends it at once.

    Lightning does not do this: on SIGINT it raises KeyboardInterrupt wherever the step is, and saves nothing unless
    `ModelCheckpoint(save_on_exception=True)` saves the state of half a step; on SIGTERM it goes on to the end of the
    step and raises an exception, and it saves only under SLURM with automatic requeueing.

    Args:
        checkpoint: the file to save to.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._received = self._at_once = False
        self._previous: dict[int, Any] = {}  # handlers: functions, numbers or None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the signal handlers."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Save and stop after a signal to any process. Raises Interrupted."""
        if distributed.agree(self._received):
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the previous signal handlers."""
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Restore the previous signal handlers."""
        self._restore()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end training at once inside the block, where everything is saved already."""
        self._at_once = True
        try:
            if self._received:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received or self._at_once:
            raise KeyboardInterrupt
        self._received = True
        logger.info("stopping after this step; again to stop at once")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
