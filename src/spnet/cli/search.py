"""`spnet search DIR`: the tracklets of an index that are most similar to a person."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from spnet.cli.options import add_network_options, check_network_options
from spnet.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from spnet.gallery.gallery import Gallery
    from spnet.gallery.query import Box
    from spnet.gallery.reranking import HitReranking
    from spnet.gallery.results import Filter, SearchResult

SUMMARY = "search an index for a person: hits by similarity, with camera, file and time"

EXAMPLES = """
examples:
  spnet search people.index --query street.jpg                        (numbers the people in it)
  spnet search people.index --query street.jpg --person 2
  spnet search people.index --query gate.mp4@1:05 --box 120 80 180 260 --camera yard --report hits.html
  spnet search people.index --query gate.mp4@1:05 --person 1 --right ID --wrong ID ID

A similarity is a cosine, -1 to 1: it ranks, and says nothing about identity (docs/searching.md).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet search`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("index", metavar="DIR|URI", help="an index made by `spnet index`")
    _add_query_options(parser)
    _add_ranking_options(parser)
    _add_output_options(parser)
    parser.add_argument("--weights", type=Path, metavar="RUN|FILE|hf:NAME", help="the network, if it has been moved")
    add_network_options(parser)


def _add_query_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--query",
        action="append",
        required=True,
        metavar="IMAGE|VIDEO@TIME",
        help="whom to find; repeatable: several of one person are fused",
    )
    parser.add_argument(
        "--box",
        action="append",
        nargs=4,
        type=float,
        default=[],
        metavar=("X1", "Y1", "X2", "Y2"),
        help="where the person of a query is, pixels; one for each query, in their order",
    )
    parser.add_argument(
        "--person",
        action="append",
        type=int,
        default=[],
        metavar="N",
        help="the N-th person found in a query; one for each query",
    )


def _add_ranking_options(parser: argparse.ArgumentParser) -> None:
    """Which hits count, and how they are ranked."""
    parser.add_argument("--top", type=int, default=20, metavar="K", help="hits at most (default %(default)s)")
    parser.add_argument("--camera", action="append", default=[], metavar="NAME", help="of this camera; repeatable")
    parser.add_argument(
        "--from", dest="first", metavar="TIME", help="seen at or after: clock (UTC), or place in a video"
    )
    parser.add_argument("--to", dest="last", metavar="TIME", help="seen at or before")
    parser.add_argument("--min-similarity", type=float, metavar="S", help="lowest cosine, -1 to 1")
    parser.add_argument(
        "--min-probability", type=float, metavar="P", help="lowest probability; after `spnet calibrate` alone"
    )
    parser.add_argument("--right", nargs="+", default=[], metavar="ID", help="hits that are the person: search again")
    parser.add_argument("--wrong", nargs="+", default=[], metavar="ID", help="hits that are not")
    parser.add_argument(
        "--pathway",
        choices=("object", "query"),
        default="object",
        help="query: look through the images of --camera, --from, --to again, for the query (default %(default)s)",
    )
    parser.add_argument(
        "--rerank",
        metavar="NAME[:KEY=VALUE,...]",
        help="rank by shared neighbours (k-reciprocal) or by the people around the query (cbgm) (docs/evaluation.md)",
    )
    parser.add_argument("--exact", action="store_true", help="compare with every row, approximate index or not")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="write a page of the hits, one file")
    parser.add_argument("--clips", type=Path, metavar="DIR", help="cut the videos around the hits into a new folder")
    parser.add_argument("--blur", action="store_true", help="blur everyone else in the clips")


def run(arguments: argparse.Namespace) -> None:
    """Search, print and write what was found. Raises UserError."""
    from spnet.gallery.gallery import Gallery

    check_network_options(arguments)
    check_options(arguments)
    gallery = Gallery.open(arguments.index, arguments.weights, arguments.device, arguments.batch_size)
    queries = read_queries(gallery, arguments)
    if queries is None:
        return
    result = search(gallery, queries, arguments)
    write(gallery, result, queries, arguments)
    if arguments.json:
        print(json.dumps([hit.as_record() for hit in result.hits], indent=1))
    else:
        print_hits(result)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together."""
    if arguments.top < 1:
        raise UserError(f"--top {arguments.top}: must be 1 or more")
    given = len(arguments.box) + len(arguments.person)
    if given and given != len(arguments.query):
        raise UserError(f"{len(arguments.query)} --query but {given} --box and --person: give one for each")
    if arguments.box and arguments.person:
        raise UserError("--box and --person: choose one of them")
    if arguments.rerank and arguments.pathway == "query":
        raise UserError("--rerank: hits of --pathway query have no embeddings to re-rank by")
    if arguments.blur and not arguments.clips:
        raise UserError("--blur: belongs to --clips DIR")


def read_queries(gallery: "Gallery", arguments: argparse.Namespace) -> "list[tuple[str, Box]] | None":
    """The queries with their boxes; None after listing the people where it is not said which of several is meant."""
    if arguments.box:
        return list(zip(arguments.query, arguments.box, strict=True))
    people = [(query, gallery.people(query)) for query in arguments.query]
    for query, found in people:
        if not len(found.boxes):
            raise UserError(f"--query {query}: nobody is found in it; say where the person is by --box")
    if not arguments.person and any(len(found.boxes) > 1 for _, found in people):
        for query, found in people:
            print(f"{query}: choose one of these by --person N")
            for number, (box, score) in enumerate(zip(found.boxes.tolist(), found.scores.tolist(), strict=True), 1):
                print(f"  {number}: box {' '.join(f'{value:.0f}' for value in box)}, score {score:.2f}")
        return None
    queries: list[tuple[str, Box]] = []
    for (query, found), number in zip(people, arguments.person or [1] * len(people), strict=True):
        if not 1 <= number <= len(found.boxes):
            raise UserError(f"--person {number}: {query} has people 1 to {len(found.boxes)}")
        queries.append((query, found.boxes[number - 1]))
    return queries


def read_filter(arguments: argparse.Namespace) -> "Filter":
    """The filter that the options describe. Raises UserError."""
    from spnet.gallery.results import Filter
    from spnet.gallery.times import parse_moment

    first = parse_moment(arguments.first, "--from") if arguments.first else None
    last = parse_moment(arguments.last, "--to") if arguments.last else None
    return Filter(arguments.camera, (), first, last)


def read_reranking(text: str | None) -> "HitReranking | None":
    """The way to re-rank. Raises UserError, for a gallery filter too: an index has no scores of one."""
    from spnet.evaluation.gallery_filter import GalleryFilter
    from spnet.evaluation.rerank_options import parse_rerankings

    for how in parse_rerankings([text] if text is not None else []).values():
        if not isinstance(how, GalleryFilter):
            return how
    return None


def search(gallery: "Gallery", queries: "list[tuple[str, Box]]", arguments: argparse.Namespace) -> "SearchResult":
    """Search, and once more with the marks. Raises UserError."""
    exact = True if arguments.exact else None
    limits = (arguments.min_similarity, arguments.min_probability)
    rerank = read_reranking(arguments.rerank)
    result = gallery.search(queries, arguments.top, read_filter(arguments), *limits, exact, rerank)
    if arguments.right or arguments.wrong:
        result = gallery.feedback(result, arguments.right, arguments.wrong, exact)
    if arguments.pathway == "query":
        result = gallery.second_look(result, queries)
    return result


def write(
    gallery: "Gallery", result: "SearchResult", queries: "list[tuple[str, Box]]", arguments: argparse.Namespace
) -> None:
    """Write the page and the clips that are asked for. Raises UserError."""
    if arguments.report:
        from spnet.gallery.page import write_search_page
        from spnet.gallery.query import one_person

        shown = [one_person(query, gallery.people) for query in queries]
        write_search_page(arguments.report, result, shown, arguments.index)
    if arguments.clips:
        from spnet.gallery.clips import write_clips

        write_clips(arguments.clips, result.hits, gallery.path, arguments.blur)


def print_hits(result: "SearchResult") -> None:
    """The hits as a table."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # a file or a pipe has no edge to break lines at
    console.print(hit_table(result))
    if not result.calibrated:
        print("similarities are cosines, uncalibrated: see `spnet calibrate --help`")


def hit_table(result: "SearchResult") -> "Table":
    """A line a hit."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    numbers = ["re-ranked"] * (result.reranking is not None) + ["similarity"] + ["probability"] * result.calibrated
    for name in (*numbers, "camera", "in the file", "clock (UTC)", "images", "found by", "file", "id"):
        table.add_column(name, justify="right" if name in (*numbers, "images") else "left", no_wrap=True)
    for hit in result.hits:
        cells = [f"{hit.reranked:.3f}"] if hit.reranked is not None else []
        cells += [f"{hit.similarity:.3f}"]
        cells += [f"{hit.probability:.0%}"] if hit.probability is not None else []
        cells += [hit.camera, hit.place, hit.clock, str(hit.frames), hit.found_by, Path(hit.file).name, hit.id]
        table.add_row(*map(Text, cells))
    return table
