"""`spnet index SOURCE...`: find everyone in images and videos, and keep them to be searched."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spnet.cli.options import add_network_options, check_network_options

if TYPE_CHECKING:
    from spnet.gallery.gallery import Gallery
    from spnet.gallery.indexer import IndexReport

SUMMARY = "index images and videos: who is seen where and when"

DESCRIPTION = (
    "Finds everyone in images and videos, links the detections of a video into tracklets, and keeps them in an index "
    "that `spnet search` searches. What is indexed is not done again, what was interrupted goes on, and a file that "
    "cannot be read is listed at the end and stops nothing."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet index`."""
    parser.description = DESCRIPTION
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="images, videos, folders, patterns")
    parser.add_argument("--index", required=True, metavar="DIR|URI", help="where the index is, or is to be made")
    parser.add_argument(
        "--weights", type=Path, metavar="RUN|FILE|hf:NAME", help="the network (an index that is there knows its own)"
    )
    parser.add_argument(
        "--fps", type=float, default=5.0, metavar="N", help="frames a second read of a video (default %(default)s)"
    )
    parser.add_argument("--camera", metavar="NAME", help="(default: a video's name, an image's folder)")
    parser.add_argument(
        "--start", metavar="TIME", help="clock time at which the videos begin, UTC (default: what each file says)"
    )
    parser.add_argument("--no-tracks", action="store_true", help="every detection alone, nothing linked")
    parser.add_argument(
        "--approximate", action="store_true", help="build an approximate index too, for a million tracklets and more"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: `auto` or HOST:PORT joins one, `local` starts one here"
    )
    add_network_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Index, and print what is there now. Raises UserError, KeyboardInterrupt."""
    from spnet.gallery.gallery import Gallery

    check_network_options(arguments)
    gallery = Gallery.open(arguments.index, arguments.weights, arguments.device, arguments.batch_size, create=True)
    try:
        report = add_with_progress(gallery, arguments)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    if arguments.approximate:
        gallery.make_approximate()
    print_report(gallery, report)


def add_with_progress(gallery: "Gallery", arguments: argparse.Namespace) -> "IndexReport":
    """Index, with a bar and the time left on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from spnet.gallery.indexer import Progress

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("indexing", total=None)

        def show(progress: Progress) -> None:
            name = Path(progress.file).name
            bar.update(task, description=name, completed=progress.frames, total=progress.expected)

        return gallery.add(
            *arguments.sources,
            fps=arguments.fps,
            camera=arguments.camera,
            start=arguments.start,
            tracks=not arguments.no_tracks,
            progress=show,
            ray=arguments.ray,
        )


def print_report(gallery: "Gallery", report: "IndexReport") -> None:
    """What was done, what could not be read, and what is there now."""
    from spnet.gallery.schema import DETECTIONS, TRACKLETS

    for line in report.unreadable:
        print(f"not indexed: {line}")
    known = f", {report.already} were there already" if report.already else ""
    print(f"indexed {report.files} files, {report.frames:,} images{known}")
    tracklets, detections = (gallery.store.count(name) for name in (TRACKLETS, DETECTIONS))
    cameras = len(gallery.cameras())
    print(f"index {gallery.uri}: {tracklets:,} tracklets, {detections:,} detections, {cameras} cameras")
