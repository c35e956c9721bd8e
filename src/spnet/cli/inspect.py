"""`spnet inspect DIR`: what a prepared data set holds, what it looks like, and what is wrong with it."""

import argparse
from pathlib import Path

from spnet.errors import UserError

SUMMARY = "show counts, a contact sheet and the problems of a prepared data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet inspect`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `spnet prepare`")
    parser.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE",
        help="where to write an image of annotated scenes (default DIR/contact_sheet.jpg)",
    )
    parser.add_argument("--decode", action="store_true", help="decode every image and compare its size")
    parser.add_argument("--num-workers", type=int, metavar="N", help="images read at a time (default: number of CPUs)")


def run(arguments: argparse.Namespace) -> None:
    """Print counts and problems, render the sheet. Raises UserError where there are problems, after listing all."""
    if arguments.num_workers is not None and arguments.num_workers < 1:
        raise UserError(f"--num-workers {arguments.num_workers}: must be at least 1")
    from spnet.cli.inspect_summary import print_inspection

    print_inspection(arguments)
