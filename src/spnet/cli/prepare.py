"""`spnet prepare SOURCE`: any source of scenes and persons becomes a folder in the one annotation format."""

import argparse
from collections.abc import Callable
from pathlib import Path

from spnet.data.converters.cocopersons import prepare_cocopersons
from spnet.data.converters.cuhk_sysu import prepare_cuhk_sysu
from spnet.data.converters.mot import prepare_mot
from spnet.data.converters.prw import prepare_prw
from spnet.data.converters.summary import ConvertedDataset, print_summary
from spnet.data.schema import check_output_is_free, write_dataset

SUMMARY = "convert a data set, or make a synthetic one, for training and evaluation"

RELEASES: dict[str, tuple[Callable[[Path], ConvertedDataset], str]] = {
    "cocopersons": (prepare_cocopersons, "COCO 2017's persons: train, val, the paper's subsets p20-p180, G10-G10000"),
    "cuhk-sysu": (prepare_cuhk_sysu, "CUHK-SYSU: trainval, test, train, val, galleries of 50 to 4000 scenes"),
    "prw": (prepare_prw, "PRW: trainval, test, train, val, all / same-camera / cross-camera galleries"),
}
COMMON = (
    "Reads the release as it was downloaded, wherever its top folder is at, below or above DIR; copies no images. "
    "Prints the counts beside the paper's."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command for each source."""
    sources = parser.add_subparsers(dest="source_name", required=True, metavar="SOURCE")
    add_mot(sources.add_parser("mot", help="MOTChallenge sequences: each track is an identity"))
    add_synthetic(sources.add_parser("synthetic", help="drawn street scenes, no download"))
    for name, (convert, summary) in RELEASES.items():
        add_release(sources.add_parser(name, help=summary, description=f"{summary}. {COMMON}"), convert)


def add_mot(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare mot`."""
    parser.description = (
        "Convert MOTChallenge sequences (folders with img1/, gt/gt.txt, seqinfo.ini): each track is an identity, each "
        "frame a scene, each sequence a camera. Without --test the last third of the frames is the test part."
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="SEQ", help="folders to train on")
    parser.add_argument("--test", type=Path, nargs="+", default=[], metavar="SEQ", help="folders to test on")
    add_output(parser)
    parser.set_defaults(prepare=lambda arguments: write(prepare_mot(arguments.train, arguments.test), arguments.output))


def add_synthetic(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare synthetic`."""
    parser.description = (
        "Draw street scenes of several cameras with people who reappear: train, test, and pretrain, where people have "
        "boxes alone, with its fractions p20 to p180. The same arguments give the same files."
    )
    parser.add_argument("--scenes", type=int, default=300, metavar="N", help="train scenes (default %(default)s)")
    parser.add_argument(
        "--identities", type=int, default=50, metavar="N", help="known people in train (default %(default)s)"
    )
    parser.add_argument("--test-scenes", type=int, metavar="N", help="test scenes (default: half as many as of train)")
    parser.add_argument(
        "--test-identities", type=int, metavar="N", help="other known people in test (default: as many)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which street (default %(default)s)")
    add_output(parser)
    parser.set_defaults(prepare=render_synthetic)


def render_synthetic(arguments: argparse.Namespace) -> ConvertedDataset:
    """Draw and write the synthetic data set."""
    from spnet.synthetic import prepare_synthetic  # its drawing code is slow to load, and no other source needs it

    return prepare_synthetic(
        arguments.output,
        arguments.scenes,
        arguments.identities,
        arguments.seed,
        arguments.test_scenes,
        arguments.test_identities,
    )


def add_release(parser: argparse.ArgumentParser, convert: Callable[[Path], ConvertedDataset]) -> None:
    """Arguments of a published data set's sub-command."""
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the folder that was downloaded")
    add_output(parser)
    parser.set_defaults(prepare=lambda arguments: write(convert(arguments.source), arguments.output))


def add_output(parser: argparse.ArgumentParser) -> None:
    """The folder to make."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to make; must not exist")


def write(prepared: ConvertedDataset, output: Path) -> ConvertedDataset:
    """Write a converted source."""
    write_dataset(output, prepared.splits, prepared.protocols)
    return prepared


def run(arguments: argparse.Namespace) -> None:
    """Convert, write, and say what was written. Raises UserError."""
    check_output_is_free(arguments.output)
    print_summary(arguments.output, arguments.prepare(arguments))
