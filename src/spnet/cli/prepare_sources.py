"""The sources of `spnet prepare`: the arguments of each, and what converts it."""

import argparse
from collections.abc import Callable
from pathlib import Path

from spnet.data.converters.coco import IDENTITIES, prepare_coco
from spnet.data.converters.cocopersons import prepare_cocopersons
from spnet.data.converters.crops import prepare_crops
from spnet.data.converters.cuhk_sysu import prepare_cuhk_sysu
from spnet.data.converters.mot import prepare_mot
from spnet.data.converters.prw import prepare_prw
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.converters.yolo import prepare_yolo
from spnet.data.schema import write_dataset

RELEASES: dict[str, tuple[Callable[[Path], ConvertedDataset], str]] = {
    "cocopersons": (prepare_cocopersons, "COCO 2017's persons: train, val, the paper's subsets p20-p180, G10-G10000"),
    "cuhk-sysu": (prepare_cuhk_sysu, "CUHK-SYSU: trainval, test, train, val, galleries of 50 to 4000 scenes"),
    "prw": (prepare_prw, "PRW: trainval, test, train, val, all / same-camera / cross-camera galleries"),
}
COMMON = (
    "Reads the release as it was downloaded, wherever its top folder is at, below or above DIR; copies no images. "
    "Prints the counts beside the paper's."
)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command for each source."""
    parser.set_defaults(prepare=convert_and_write)
    sources = parser.add_subparsers(dest="source_name", required=True, metavar="SOURCE")
    add_mot(sources.add_parser("mot", help="MOTChallenge sequences: each track is an identity"))
    add_coco(sources.add_parser("coco", help=f"your own COCO file with {' or '.join(IDENTITIES)}"))
    add_yolo(sources.add_parser("yolo", help="your own images with YOLO labels that end in an id"))
    add_crops(sources.add_parser("crops", help="crops named as Market-1501's, with their scenes and boxes.csv"))
    add_synthetic(sources.add_parser("synthetic", help="rendered street scenes, no download"))
    for name, (convert, summary) in RELEASES.items():
        add_release(sources.add_parser(name, help=summary, description=f"{summary}. {COMMON}"), convert)
    for source in sources.choices.values():
        source.add_argument(
            "--output", type=Path, required=True, metavar="DIR", help="the folder to make; must not exist"
        )


def convert_and_write(arguments: argparse.Namespace) -> ConvertedDataset:
    """Convert a source, and write the data set."""
    converted: ConvertedDataset = arguments.convert(arguments)
    write_dataset(arguments.output, converted.splits, converted.protocols)
    return converted


def add_mot(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare mot`."""
    parser.description = (
        "Convert MOTChallenge sequences (folders with img1/, gt/gt.txt, seqinfo.ini): each track is an identity, each "
        "frame a scene, each sequence a camera. Without --test the last third of the frames is the test part."
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="SEQ", help="folders to train on")
    parser.add_argument("--test", type=Path, nargs="+", default=[], metavar="SEQ", help="folders to test on")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="keep every N-th frame of each sequence, from its first on (default: all); 30 frames a second: --every 30",
    )
    parser.set_defaults(convert=lambda given: prepare_mot(given.train, given.test, given.every))


def add_coco(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare coco`."""
    parser.description = (
        f"Convert a COCO file whose annotations say who it is ({' or '.join(IDENTITIES)}, in the annotation or its "
        "attributes), as CVAT and FiftyOne export it. Without --test the last third of the images is the test part."
    )
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help="the COCO file to train on")
    parser.add_argument("--test", type=Path, metavar="FILE", help="the COCO file to test on")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the folder of the images (default: looked for around the file)"
    )
    parser.add_argument("--category", default="person", metavar="NAME", help="of people (default %(default)s)")
    parser.set_defaults(convert=lambda given: prepare_coco(given.train, given.test, given.images, given.category))


def add_yolo(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare yolo`."""
    parser.description = (
        "Convert folders of images with YOLO labels, lines `class cx cy w h [confidence] [id]` in text files beside "
        "the images or below labels/ instead of images/. Each folder is a camera. Without --test the last third of the "
        "images of each is the test part."
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="DIR", help="folders to train on")
    parser.add_argument("--test", type=Path, nargs="+", default=[], metavar="DIR", help="folders to test on")
    parser.add_argument("--class", type=int, default=0, dest="person_class", metavar="N", help="of people (default 0)")
    parser.add_argument(
        "--same-ids", action="store_true", help="an id is the same person in all folders (default: in its own alone)"
    )
    parser.set_defaults(convert=lambda given: prepare_yolo(given.train, given.test, given.person_class, given.same_ids))


def add_crops(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare crops`."""
    parser.description = (
        "Convert crops named as Market-1501's (0001_c1s1_000151_01.jpg) with the scenes they were cut from: "
        "DIR/scenes/c1s1_000151.jpg and DIR/boxes.csv with a line `crop,x,y,width,height` for each."
    )
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the folder with boxes.csv")
    parser.set_defaults(convert=lambda given: prepare_crops(given.source))


def add_synthetic(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet prepare synthetic`."""
    parser.description = (
        "Render street scenes of several cameras with people who reappear: train, test, and pretrain, where people "
        "have boxes alone, with its fractions p20 to p180. The same arguments give the same files."
    )
    parser.add_argument("--scenes", type=int, default=300, metavar="N", help="train scenes (default %(default)s)")
    parser.add_argument(
        "--identities", type=int, default=50, metavar="N", help="known people in train (default %(default)s)"
    )
    parser.add_argument("--test-scenes", type=int, metavar="N", help="test scenes (default: half as many as of train)")
    parser.add_argument(
        "--test-identities", type=int, metavar="N", help="other known people in test (default: as many)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all that is random (default %(default)s)")
    parser.add_argument(
        "--video", action="store_true", help="instead: two videos of people who walk past two cameras, to be searched"
    )
    parser.add_argument(
        "--seconds", type=float, default=24.0, metavar="N", help="length of the videos (default %(default)s)"
    )
    parser.add_argument("--people", type=int, default=6, metavar="N", help="in the videos (default %(default)s)")
    parser.set_defaults(prepare=render_synthetic)


def render_synthetic(arguments: argparse.Namespace) -> ConvertedDataset | None:
    """Render and write the synthetic data set, or the videos."""
    from spnet.synthetic import prepare_synthetic  # its rendering code is slow to load, and no other source needs it

    if arguments.video:
        from spnet.synthetic.walk import prepare_walk

        for video in prepare_walk(arguments.output, arguments.seconds, arguments.people, arguments.seed):
            print(f"wrote {video}")
        return None

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
    parser.set_defaults(convert=lambda given: convert(given.source))
