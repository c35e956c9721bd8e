"""Options that several commands have, and what is refused of them."""

import argparse
from pathlib import Path

from spnet.errors import UserError


def add_weights_argument(parser: argparse.ArgumentParser) -> None:
    """Add the network as the first argument."""
    parser.add_argument(
        "weights", type=Path, metavar="RUN|FILE|hf:NAME", help="a finished run, a weights file, a model on the hub"
    )


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add how the network runs."""
    parser.add_argument("--batch-size", type=int, default=4, help="images at once (default %(default)s)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")


def add_rerank_option(parser: argparse.ArgumentParser) -> None:
    """Add `--rerank` of an evaluation."""
    parser.add_argument(
        "--rerank",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="report a re-ranked search too: k-reciprocal, cbgm or gallery-filter; repeatable (docs/evaluation.md)",
    )


def check_network_options(arguments: argparse.Namespace) -> None:
    """Raise UserError for what cannot be."""
    if arguments.batch_size < 1:
        raise UserError(f"--batch-size {arguments.batch_size}: must be 1 or more")
    if arguments.device is not None:
        check_device(arguments.device)


def check_device(name: str) -> None:
    """Raise UserError unless tensors can live on this device."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from None
