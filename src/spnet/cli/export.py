"""`spnet export RUN`: the network as one file for ONNX Runtime, or for PyTorch without this package."""

import argparse
from pathlib import Path

from spnet.cli.options import add_weights_argument

SUMMARY = "export a network as one ONNX or torch.export file: images in, people out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet export`."""
    add_weights_argument(parser)
    parser.add_argument(
        "--format",
        choices=("onnx", "torch"),
        default="onnx",
        help="ONNX, or torch.export's own, .pt2 (default %(default)s)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="(default: beside the weights; here of hf:)")
    parser.add_argument(
        "--pathway",
        choices=("object", "query"),
        default="object",
        help="find everyone, or the persons of embeddings that it is given (default %(default)s)",
    )
    parser.add_argument(
        "--window",
        type=int,
        nargs=2,
        action="append",
        metavar=("H", "W"),
        help="height and width of the images it takes, pixels; repeatable, a file each (default: the network's own)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Export a file for each window, and print what it is. Raises UserError."""
    from spnet.export.export import export_network
    from spnet.export.formats import ENDINGS
    from spnet.models.hub import find_weights, parse_hub_name

    weights = find_weights(arguments.weights)
    folder = Path() if parse_hub_name(arguments.weights) else weights.parent
    query = "-query" if arguments.pathway == "query" else ""
    output = arguments.output or folder / f"{weights.stem}{query}{ENDINGS[arguments.format]}"
    windows: list[tuple[int, int] | None] = [(height, width) for height, width in arguments.window or []] or [None]
    for window in windows:
        size = f"-{window[0]}x{window[1]}" if window and len(windows) > 1 else ""
        file = output.with_stem(output.stem + size)
        info, differences = export_network(weights, file, arguments.format, arguments.pathway, window)
        print(f"{file}: {info.preset}, {info.pathway}-centric, images of {info.window[0]} x {info.window[1]} pixels")
        print(f"beside PyTorch: {differences}")
