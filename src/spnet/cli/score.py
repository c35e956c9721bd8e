"""`spnet score`: the published metrics for any model's saved detections."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from spnet.cli.options import add_rerank_option, check_device
from spnet.errors import UserError

if TYPE_CHECKING:
    from spnet.evaluation.arrays import EvaluationArrays
    from spnet.evaluation.gallery_filter import GalleryFilter
    from spnet.evaluation.protocols import Protocol

SUMMARY = "score saved detections of any model: recall, AP, mAP, top-k"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from spnet.evaluation.matching import Mode

    parser.add_argument(
        "arrays",
        type=Path,
        metavar="DETECTIONS",
        help="detections file (.npz), or lists as SeqNet, COAT and GFN save them: a pickle, a file of torch.save, JSON",
    )
    parser.add_argument(
        "--protocols", type=Path, required=True, metavar="PROTOCOLS.json", help="one retrieval protocol or named ones"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="with lists: the prepared data set they are of")
    parser.add_argument("--split", default="test", help="with lists: of that data set (default %(default)s)")
    parser.add_argument(
        "--keys",
        dest="their_keys",
        nargs="+",
        default=[],
        metavar="NAME=ITS_NAME",
        help="with lists: what the file calls them",
    )
    parser.add_argument(
        "--image-names", type=Path, metavar="FILE.txt", help="with lists: their images' names in order, one a line"
    )
    parser.add_argument("--protocol", metavar="NAME", help="score only this one of them")
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="published",
        help="published: with the peculiarities all published numbers have (default); corrected: without them",
    )
    parser.add_argument(
        "--gallery-sizes",
        metavar="N,N,...",
        help="also score galleries cut to so many scenes: those with the person, then the first of the list",
    )
    add_rerank_option(parser)
    parser.add_argument("--output", type=Path, metavar="OUT.json", help="write all metrics, per query too")
    parser.add_argument("--device", default="cpu", help="where similarities are computed: cpu (default), cuda")


def run(arguments: argparse.Namespace) -> None:
    """Read, measure, print, write. Raises UserError."""
    sizes = parse_sizes(arguments.gallery_sizes)
    check_device(arguments.device)
    if arguments.output is not None and not arguments.output.parent.is_dir():
        raise UserError(f"--output {arguments.output}: cannot be written: there is no folder {arguments.output.parent}")
    # torch takes a second to load, and `spnet --help` needs only the summary
    from rich.console import Console

    from spnet.evaluation.protocols import limit_galleries, read_protocols
    from spnet.evaluation.report import as_table, as_text, measure, write_report
    from spnet.evaluation.rerank_options import parse_rerankings

    protocols = read_protocols(arguments.protocols)
    if arguments.protocol is not None:
        if arguments.protocol not in protocols:
            choices = ", ".join(protocols)
            raise UserError(f"--protocol {arguments.protocol}: {arguments.protocols} has {choices}")
        protocols = {arguments.protocol: protocols[arguments.protocol]}
    arrays, scores, is_own = read_any(arguments, protocols)
    rerankings = parse_rerankings(arguments.rerank, scores)
    wanted = dict(protocols)
    for name, protocol in protocols.items():
        wanted |= {f"{name}@{size}": limit_galleries(protocol, arrays, size) for size in sizes}
    report = measure(
        arrays, wanted, mode=arguments.mode, rerankings=rerankings, ground_truth=is_own, device=arguments.device
    )
    if arguments.output is not None:
        write_report(arguments.output, report)
    Console().print(as_table(report))
    print(as_text(report))


def read_any(
    arguments: argparse.Namespace, protocols: "Mapping[str, Protocol]"
) -> "tuple[EvaluationArrays, GalleryFilter | None, bool]":
    """The detections, a gallery filter's scores if there are any, and whether all annotated boxes have an embedding.

    Raises UserError.
    """
    from spnet.evaluation.arrays import read_arrays
    from spnet.evaluation.gallery_filter import read_gallery_filter

    if arguments.arrays.suffix == ".npz":
        if arguments.data or arguments.their_keys or arguments.image_names:
            raise UserError("--data, --keys and --image-names belong to lists, not to a detections file (.npz)")
        return read_arrays(arguments.arrays), read_gallery_filter(arguments.arrays), True
    if arguments.data is None:
        raise UserError(f"{arguments.arrays}: not a detections file (.npz); of lists, say which --data they are of")
    from spnet.data.schema import read_annotations
    from spnet.evaluation.saved_lists import parse_keys, read_detections, same_queries
    from spnet.files import read_lines
    from spnet.runs.folder import split_file

    annotations = read_annotations(split_file(arguments.data, arguments.split))
    names = None if arguments.image_names is None else read_lines(arguments.image_names)
    keys = parse_keys(arguments.their_keys)
    return *read_detections(arguments.arrays, annotations, same_queries(protocols), keys, names), False


def parse_sizes(text: str | None) -> list[int]:
    """Gallery sizes from "50,100". Raises UserError for anything but positive integers."""
    sizes = []
    for part in text.split(",") if text is not None else []:
        if not part.strip().isdecimal() or int(part) < 1:
            raise UserError(f"--gallery-sizes {text}: {part.strip()!r} is not a positive number of scenes")
        sizes.append(int(part))
    return sizes
