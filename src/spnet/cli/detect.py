"""`spnet detect SOURCE... --output DIR`: everyone in images and videos, drawn and listed, nothing indexed."""

import argparse
from pathlib import Path

from spnet.cli.options import add_network_options, check_network_options

SUMMARY = "find everyone in images and videos: boxes rendered on them, and a list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet detect`."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="images, videos, folders, patterns")
    parser.add_argument("--weights", type=Path, required=True, metavar="RUN|FILE|hf:NAME", help="the network")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to make; must not exist")
    parser.add_argument(
        "--fps", type=float, default=5.0, metavar="N", help="frames a second read of a video (default %(default)s)"
    )
    add_network_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Detect, and print where the results are. Raises UserError."""
    from spnet.data.sources import find_files
    from spnet.gallery.detect import detect_files
    from spnet.gallery.network import load_searcher
    from spnet.models.hub import find_weights

    check_network_options(arguments)
    files = find_files(arguments.sources)
    searcher = load_searcher(find_weights(arguments.weights), arguments.device, arguments.batch_size)
    images, people, unreadable = detect_files(searcher, files, arguments.output, arguments.fps)
    for line in unreadable:
        print(f"not read: {line}")
    print(f"{people:,} people in {images:,} images: {arguments.output / 'detections.csv'}")
