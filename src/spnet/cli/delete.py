"""`spnet delete DIR`: remove people, files or a time from an index, for good."""

import argparse

from spnet.errors import UserError

SUMMARY = "delete people, videos or a time from an index, with embeddings and thumbnails, for good"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet delete`."""
    parser.add_argument("index", metavar="DIR|URI", help="an index made by `spnet index`")
    parser.add_argument("--person", nargs="+", default=[], metavar="ID", help="tracklets, as `spnet search` names them")
    parser.add_argument("--video", nargs="+", default=[], metavar="FILE", help="files, as they were indexed")
    parser.add_argument("--before", metavar="TIME", help="everything seen before this clock time, UTC")


def run(arguments: argparse.Namespace) -> None:
    """Delete, and print how much. Raises UserError."""
    # without the network, which takes seconds to load
    from spnet.gallery.corrections import delete
    from spnet.gallery.store import Store

    if not (arguments.person or arguments.video or arguments.before):
        raise UserError("what is to be deleted? choose --person ID, --video FILE or --before TIME")
    gone = delete(Store.open(arguments.index), arguments.person, arguments.video, arguments.before)
    print(f"deleted {gone:,} tracklets with their detections from {arguments.index}")
