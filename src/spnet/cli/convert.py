"""`spnet convert`: a checkpoint of the authors' release becomes a weights file of ours."""

import argparse
from pathlib import Path

SUMMARY = "convert a released checkpoint (.ckpt) into a weights file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet convert`."""
    parser.add_argument("released", type=Path, metavar="RELEASED.ckpt", help="a checkpoint of the authors' release")
    parser.add_argument("output", type=Path, metavar="OUT.safetensors", help="the weights file to write")
    parser.add_argument(
        "--pathway", choices=("query", "object"), help="how it was trained (default: query if its bridge is zero)"
    )
    parser.add_argument(
        "--logit-sign",
        choices=("negative", "positive"),
        default="negative",
        help="not in the file (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Convert and say what was written. Raises UserError."""
    from spnet.errors import UserError
    from spnet.models.convert import convert_released

    if arguments.output.exists():
        raise UserError(f"output {str(arguments.output)!r} exists; choose another file")
    if arguments.output.suffix != ".safetensors":
        raise UserError(f"output {str(arguments.output)!r} must end in .safetensors")
    print(convert_released(arguments.released, arguments.output, arguments.pathway, arguments.logit_sign))
