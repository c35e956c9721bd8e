"""Lightning's loggers by the names of the key `logger`."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from spnet.config.schema import LoggerName
from spnet.errors import UserError
from spnet.extras import install_command

PROJECT = "spnet"  # of Weights & Biases; the experiment of MLflow
LOGS = "logs"

MAKERS: Mapping[LoggerName, Callable[[Path], Logger]] = {
    "tensorboard": lambda run: TensorBoardLogger(run, LOGS, ""),
    "csv": lambda run: CSVLogger(run / LOGS, "csv"),
    "wandb": lambda run: WandbLogger(run.name, run / LOGS, project=PROJECT),
    "mlflow": lambda run: MLFlowLogger(PROJECT, run.name, save_dir=str(run / LOGS / "mlflow")),
}


def check_logger(name: LoggerName) -> None:
    """Raise UserError with the command to install the package that a logger needs."""
    if name in ("wandb", "mlflow") and find_spec(name) is None:
        raise UserError(f"logger {name} needs the package {name}: {install_command(name)}")


def make_loggers(name: LoggerName, run: Path) -> list[Logger]:
    """Make the logger of a run; none where metrics go to the run's own CSV files alone."""
    return [] if name == "none" else [MAKERS[name](run)]
