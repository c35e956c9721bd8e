"""`spnet score`: the published metrics for any model's saved detections."""

import argparse
from pathlib import Path
from typing import get_args

from spnet.errors import UserError
from spnet.evaluation.matching import Mode

SUMMARY = "score saved detections of any model: recall, AP, mAP, top-k"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("arrays", type=Path, metavar="ARRAYS.npz", help="detections file (docs/evaluation.md)")
    parser.add_argument(
        "--protocols", type=Path, required=True, metavar="PROTOCOLS.json", help="one retrieval protocol or named ones"
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

    from spnet.evaluation.arrays import read_arrays
    from spnet.evaluation.protocols import limit_galleries, read_protocols
    from spnet.evaluation.report import as_table, as_text, measure, write_report

    protocols = read_protocols(arguments.protocols)
    if arguments.protocol is not None:
        if arguments.protocol not in protocols:
            choices = ", ".join(protocols)
            raise UserError(f"--protocol {arguments.protocol}: {arguments.protocols} has {choices}")
        protocols = {arguments.protocol: protocols[arguments.protocol]}
    arrays = read_arrays(arguments.arrays)
    wanted = dict(protocols)
    for name, protocol in protocols.items():
        wanted |= {f"{name}@{size}": limit_galleries(protocol, arrays, size) for size in sizes}
    report = measure(arrays, wanted, mode=arguments.mode, device=arguments.device)
    if arguments.output is not None:
        write_report(arguments.output, report)
    Console().print(as_table(report))
    print(as_text(report))


def parse_sizes(text: str | None) -> list[int]:
    """Gallery sizes from "50,100". Raises UserError for anything but positive integers."""
    sizes = []
    for part in text.split(",") if text is not None else []:
        if not part.strip().isdecimal() or int(part) < 1:
            raise UserError(f"--gallery-sizes {text}: {part.strip()!r} is not a positive number of scenes")
        sizes.append(int(part))
    return sizes


def check_device(name: str) -> None:
    """Raise UserError unless tensors can live on this device."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from None
