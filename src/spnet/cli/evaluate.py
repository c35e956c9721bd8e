"""`spnet evaluate RUN_OR_WEIGHTS`: a network measured on a prepared data set, along either path."""

import argparse
from pathlib import Path

from spnet.errors import UserError

SUMMARY = "measure a run or a weights file: recall, AP, mAP, top-k, GT mAP"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet evaluate`."""
    parser.add_argument(
        "weights", type=Path, metavar="RUN_OR_WEIGHTS", help="a finished run's folder or a weights file"
    )
    parser.add_argument("--data", type=Path, help="a prepared data set (default: the one the run was trained on)")
    parser.add_argument("--split", default="test", help="annotations to find people in (default %(default)s)")
    parser.add_argument(
        "--protocol", action="append", metavar="NAME", help="of retrieval/; repeatable (default: the split's name)"
    )
    parser.add_argument(
        "--pathway", choices=("object", "query"), default="object", help="at test time (default %(default)s)"
    )
    parser.add_argument(
        "--min-size", type=int, metavar="N", help="shortest side of scenes, pixels (default: the network's)"
    )
    parser.add_argument(
        "--max-size", type=int, metavar="N", help="largest longest side of scenes (default: the network's)"
    )
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="FILE.npz",
        help="measure these saved detections instead of running the network",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where metrics and detections go (default RUN/evaluation/DATA-SPLIT-PATH)",
    )
    parser.add_argument("--report", action="store_true", help="write report.html there too: searches in images")
    parser.add_argument("--latency", action="store_true", help="measure the time of a scene too (latency.json)")
    parser.add_argument("--batch-size", type=int, default=4, help="scenes at once (default %(default)s)")
    parser.add_argument("--num-workers", type=int, default=1, help="processes that read images (default %(default)s)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")


def run(arguments: argparse.Namespace) -> None:
    """Find, measure, print, write. Raises UserError."""
    from rich.console import Console

    from spnet.cli.score import check_device
    from spnet.evaluation.report import as_table, as_text
    from spnet.evaluation.runner import evaluate_weights

    if arguments.batch_size < 1 or arguments.num_workers < 0:
        raise UserError(
            f"--batch-size {arguments.batch_size} must be 1 or more, --num-workers {arguments.num_workers} 0 or more"
        )
    if arguments.device is not None:
        check_device(arguments.device)
    report, output = evaluate_weights(
        arguments.weights,
        data=arguments.data,
        split=arguments.split,
        protocols=arguments.protocol,
        pathway=arguments.pathway,
        min_size=arguments.min_size,
        max_size=arguments.max_size,
        detections=arguments.detections,
        output=arguments.output,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        device=arguments.device,
        page=arguments.report,
    )
    Console().print(as_table(report))
    print(as_text(report))
    if arguments.latency:
        print(f"latency: {_measure_latency(arguments, output):.1f} ms a scene")
    print(f"results: {output}")


def _measure_latency(arguments: argparse.Namespace, output: Path) -> float:
    """Milliseconds of a scene, object-centric; written to `output`, too."""
    from spnet.data.schema import read_annotations
    from spnet.evaluation.extract import ExtractionConfig, default_device
    from spnet.evaluation.latency import LATENCY, measure_latency, write_latency
    from spnet.models.checkpoints import load_network
    from spnet.runs.folder import read_run_config, split_file

    network = load_network(arguments.weights)
    inference = network.config.inference
    sides = (arguments.min_size or inference.min_size, arguments.max_size or inference.max_size)
    root = arguments.data or Path(read_run_config(arguments.weights).data.root)
    how = ExtractionConfig(*sides, device=arguments.device or default_device())
    latency = measure_latency(network, read_annotations(split_file(root, arguments.split)), how)
    write_latency(output / LATENCY, latency)
    return latency.milliseconds
