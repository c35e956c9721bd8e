"""`spnet evaluate RUN_OR_WEIGHTS`: evaluate a network on a prepared data set, along either pathway."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spnet.cli.options import add_rerank_option, add_weights_argument, check_device
from spnet.errors import UserError

if TYPE_CHECKING:
    from spnet.evaluation.runner import EvaluationResult

REPORT = "report.html"
SUMMARY = "evaluate a run or a weights file: recall, AP, mAP, top-k, GT mAP"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet evaluate`."""
    add_weights_argument(parser)
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
        help="evaluate these saved detections instead of running the network",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where metrics and detections go (default RUN/evaluation/DATA-SPLIT-PATHWAY)",
    )
    add_rerank_option(parser)
    parser.add_argument("--report", action="store_true", help="write report.html there too: searches in images")
    parser.add_argument("--latency", action="store_true", help="measure the time of a scene too (latency.json)")
    parser.add_argument("--batch-size", type=int, default=4, help="scenes at once (default %(default)s)")
    parser.add_argument("--num-workers", type=int, default=1, help="processes that read images (default %(default)s)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print the metrics, and write the page if asked. Raises UserError."""
    from rich.console import Console

    from spnet.evaluation.report import as_table, as_text
    from spnet.evaluation.runner import evaluate_weights

    if arguments.batch_size < 1 or arguments.num_workers < 0:
        raise UserError(
            f"--batch-size {arguments.batch_size} must be 1 or more, --num-workers {arguments.num_workers} 0 or more"
        )
    if arguments.report and arguments.pathway == "query":
        raise UserError("--report needs --pathway object: there is no page for --pathway query")
    if arguments.device is not None:
        check_device(arguments.device)
    result = evaluate_weights(
        arguments.weights,
        data=arguments.data,
        split=arguments.split,
        protocols=arguments.protocol,
        pathway=arguments.pathway,
        min_size=arguments.min_size,
        max_size=arguments.max_size,
        detections=arguments.detections,
        rerank=arguments.rerank,
        output=arguments.output,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        device=arguments.device,
    )
    if arguments.report:
        from spnet.reports.context import evaluation_context
        from spnet.reports.render import write_report_page

        write_report_page(result.folder / REPORT, evaluation_context(result, arguments.weights))
    Console().print(as_table(result.report))
    print(as_text(result.report))
    if arguments.latency:
        print(f"latency: {_measure_latency(arguments, result):.1f} ms a scene")
    print(f"results: {result.folder}")


def _measure_latency(arguments: argparse.Namespace, result: "EvaluationResult") -> float:
    """Milliseconds of a scene, object-centric; written beside the metrics, too."""
    from spnet.evaluation.latency import LATENCY, measure_latency, write_latency
    from spnet.evaluation.runner import extraction_config
    from spnet.models.checkpoints import load_network

    network = load_network(arguments.weights)
    how = extraction_config(network, arguments.min_size, arguments.max_size, arguments.device)
    latency = measure_latency(network, result.annotations, how)
    write_latency(result.folder / LATENCY, latency)
    return latency.milliseconds
