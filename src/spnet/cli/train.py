"""`spnet train NAME`: train a named configuration, with keys replaced."""

import argparse
import logging
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal

from spnet.errors import UserError

if TYPE_CHECKING:
    from spnet.config.schema import RunConfig

FINETUNE: Literal["finetune"] = "finetune"
SUMMARY = "pre-train or fine-tune a network"

SHORT = {  # options that stand for a key
    "data": "data.root",
    "split": "data.train_split",
    "weights": "weights.init_from",
    "val-split": "validation.split",
    "val-protocol": "validation.protocol",
    "devices": "trainer.devices",
    "nodes": "trainer.nodes",
    "compile": "trainer.compile",
}

EXAMPLES = """
examples:
  spnet train spnet-s --stage pretrain --data DATA/cocopersons --output runs/pretrained
  spnet train spnet-s --data DATA/prw --weights runs/pretrained --output runs/prw
  spnet train spnet-tiny --data DATA/synthetic --optimizer.epochs 3 --model.cascade_steps 2 --output runs/trial
  spnet train spnet-l --data DATA/prw --output runs/prw-l --devices 8
  spnet train --resume runs/prw

A run folder holds config.yaml, weights.safetensors, checkpoints/ and logs/ (metrics.csv, validation.csv, TensorBoard).
Where the data set has a split `val` the run is validated on it after each epoch, and best.safetensors is kept too.
Every key of the configuration is an option as well; --print-config prints their values and trains nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet train`; configuration keys come as further options."""
    from spnet.config.io import describe_keys
    from spnet.config.presets import PRESETS
    from spnet.config.schema import RunConfig

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES + "\nconfiguration keys:\n" + "\n".join(map(_help_line, describe_keys(RunConfig)))
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"configuration: {', '.join(PRESETS)}")
    parser.add_argument("--stage", choices=("pretrain", "finetune"), help="(default finetune)")
    parser.add_argument(
        "--pathway", choices=("query", "object"), help="default: query to pre-train, object to fine-tune"
    )
    parser.add_argument("--data", metavar="DIR", help="a prepared data set (key data.root)")
    parser.add_argument("--split", help="annotations to train on (key data.train_split)")
    parser.add_argument(
        "--weights", metavar="RUN|FILE|hf:NAME", help="start from these weights (key weights.init_from)"
    )
    parser.add_argument("--val-split", metavar="SPLIT", help="annotations to validate on (key validation.split)")
    parser.add_argument("--val-protocol", metavar="NAME", help="of retrieval/ (key validation.protocol)")
    parser.add_argument("--devices", type=int, metavar="N", help="processes of a machine (key trainer.devices)")
    parser.add_argument("--nodes", type=int, metavar="N", help="machines (key trainer.nodes)")
    parser.add_argument("--compile", action="store_const", const="true", help="faster steps (key trainer.compile)")
    parser.add_argument("--output", type=Path, metavar="RUN", help="the folder to make (default runs/NAME-STAGE)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with keys to replace, or all of them")
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on with an interrupted run, as it was configured"
    )
    parser.add_argument(
        "--as-released", action="store_true", help="a preset with the settings of the authors' code where they differ"
    )
    parser.add_argument("--print-config", action="store_true", help="print the resolved configuration and stop")
    parser.set_defaults(takes_keys=True)


def _help_line(key: tuple[str, str, str]) -> str:
    name, kind, description = key
    return fill(f"{description} ({kind})", 120, initial_indent=f"  --{name}  ", subsequent_indent=" " * 6)


def run(arguments: argparse.Namespace) -> None:
    """Train, and print where the results are. Raises UserError, KeyboardInterrupt."""
    from spnet.config.io import to_yaml

    if arguments.resume:
        from spnet.runs.folder import read_run_config

        refuse_changes(arguments)
        config, output = read_run_config(arguments.resume), arguments.resume
    else:
        config = resolve(arguments)
        output = arguments.output or Path("runs") / f"{arguments.name or arguments.config.stem}-{config.stage}"
    if arguments.print_config:
        print(to_yaml(config), end="")
        return
    from spnet import distributed
    from spnet.runs.folder import BEST
    from spnet.training.fit import fit  # Lightning takes seconds to load, and only training needs it

    if follows := distributed.follows(config.trainer.processes):  # the first process prints
        logging.getLogger("spnet").setLevel(logging.ERROR)
    weights = fit(config, output, resume=bool(arguments.resume))
    if follows:
        return
    print(f"weights: {weights}")
    if (output / BEST).is_file():
        print(f"best:    {output / BEST}")
    print(
        f"curves:  tensorboard --logdir {output / 'logs'}"
        if config.logger == "tensorboard"
        else f"curves:  {output / 'logs'}"
    )


def refuse_changes(arguments: argparse.Namespace) -> None:
    """Raise UserError for whatever would change a run that is resumed."""
    options = ("stage", "pathway", "output", "config", *SHORT)
    given = [f"--{option}" for option in options if getattr(arguments, option.replace("-", "_")) is not None]
    if changes := [*filter(None, [arguments.name]), *given, *arguments.keys]:
        raise UserError(f"--resume {arguments.resume} goes on as the run was configured: drop {' '.join(changes)}")


def resolve(arguments: argparse.Namespace) -> "RunConfig":
    """Build the configuration that the options describe. Raises UserError."""
    from spnet.config.io import override

    given = {key: getattr(arguments, option.replace("-", "_")) for option, key in SHORT.items()}
    short = [f"--{key}={value}" for key, value in given.items() if value is not None]
    return override(_base(arguments), arguments.config, [*arguments.keys, *short])


def _base(arguments: argparse.Namespace) -> "RunConfig":
    """The preset, or the schema's defaults where a file alone is given."""
    from spnet.config.presets import PRESETS, as_released, get_preset
    from spnet.config.schema import RunConfig

    if arguments.name:
        preset = get_preset(arguments.name, arguments.stage or FINETUNE, arguments.pathway)
        return as_released(preset) if arguments.as_released else preset
    if not arguments.config:
        raise UserError(f"which preset? choose {', '.join(PRESETS)}, --config FILE or --resume RUN")
    if arguments.stage or arguments.pathway:
        raise UserError("--stage and --pathway belong to a NAME; with --config alone set stage and objective.pathway")
    return RunConfig()
