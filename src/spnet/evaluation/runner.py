"""One evaluation from start to end: a run or a weights file, a prepared data set, and the files left behind.

OUTPUT/metrics.json       every figure, per query too
OUTPUT/detections.npz     what was found (object-centric), to be scored again by `spnet score`
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spnet.config.schema import PathwayName
from spnet.data.schema import Annotations, check_images_exist, read_annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays, read_arrays, write_arrays
from spnet.evaluation.extract import ExtractionConfig, default_device, extract_arrays
from spnet.evaluation.gallery_filter import read_gallery_filter
from spnet.evaluation.metrics_file import METRICS
from spnet.evaluation.protocols import Protocol, read_protocols
from spnet.evaluation.query_pathway import evaluate_query_pathway
from spnet.evaluation.report import Report, measure, write_report
from spnet.evaluation.rerank_options import parse_rerankings
from spnet.models.checkpoints import load_network
from spnet.models.hub import parse_hub_name
from spnet.models.spnet import SPNet
from spnet.runs.folder import read_run_config, split_file
from spnet.runs.record import annotations_digest, hardware, now

DETECTIONS = "detections.npz"


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of a network on a split, what they were computed from, and the folder they were written to."""

    report: Report
    folder: Path
    data: Path  # the prepared data set
    annotations: Annotations
    protocols: dict[str, Protocol]
    arrays: EvaluationArrays | None  # None along the query pathway, which keeps no detections


def evaluate_weights(
    weights: Path,
    data: Path | None = None,
    split: str = "test",
    protocols: list[str] | None = None,
    pathway: PathwayName = "object",
    min_size: int | None = None,
    max_size: int | None = None,
    detections: Path | None = None,
    rerank: Sequence[str] = (),
    output: Path | None = None,
    batch_size: int = 4,
    num_workers: int = 0,
    device: str | None = None,
) -> EvaluationResult:
    """Evaluate a network on a split, and write its metrics and detections.

    Args:
        weights: a finished run's folder, a weights file, or `hf:org/name` for a model on the hub.
        data: a prepared data set; the run's own if not given.
        split: annotations to find people in.
        protocols: names of retrieval protocols; that of the split if not given.
        pathway: at test time.
        min_size: shortest side of scenes in pixels; the network's if not given.
        max_size: largest longest side of scenes in pixels; the network's if not given.
        detections: saved detections to measure instead of running the network.
        rerank: ways to re-rank, each reported apart, as `NAME:KEY=VALUE,...` (docs/evaluation.md).
        output: folder for the results.
        batch_size: scenes at once.
        num_workers: processes that read images.
        device: cpu or cuda; cuda if there is one.

    Raises:
        UserError: anything that is missing or does not fit, by name.
    """
    started = time.monotonic()
    _refuse(weights, pathway, detections, rerank)
    scores = read_gallery_filter(detections) if detections is not None else None
    rerankings = parse_rerankings(rerank, scores)
    root = data or _own_data(weights)
    file = split_file(root, split)
    annotations = read_annotations(file)
    chosen = named_protocols(root, protocols or [split])
    folder = output or evaluation_folder(weights, root, split, pathway)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output {str(folder)!r} is a file; choose a folder")
    if detections is not None:
        arrays: EvaluationArrays | None = read_arrays(detections)
    else:
        check_images_exist(annotations)
        network = load_network(weights)
        how = extraction_config(network, min_size, max_size, device, batch_size, num_workers)
        arrays = extract_arrays(network, annotations, how) if pathway == "object" else None
    if arrays is None:
        report = evaluate_query_pathway(network, annotations, chosen, how)
    else:
        report = measure(arrays, chosen, rerankings=rerankings)
    folder.mkdir(parents=True, exist_ok=True)
    if arrays is not None and detections is None:
        write_arrays(folder / DETECTIONS, arrays)
    about: dict[str, object] = {"annotations": annotations_digest(file), "pathway": pathway}
    about |= {"hardware": hardware(), "date": now(), "seconds": round(time.monotonic() - started, 1)}
    write_report(folder / METRICS, report, about)
    return EvaluationResult(report, folder, root, annotations, chosen, arrays)


def extraction_config(
    network: SPNet,
    min_size: int | None = None,
    max_size: int | None = None,
    device: str | None = None,
    batch_size: int = 4,
    num_workers: int = 0,
) -> ExtractionConfig:
    """How a network goes over a split: as it is configured, where nothing else is asked for."""
    own = network.config.inference
    inference = replace(own, min_size=min_size or own.min_size, max_size=max_size or own.max_size)
    return ExtractionConfig(inference, batch_size, num_workers, device or default_device())


def _refuse(weights: Path, pathway: PathwayName, detections: Path | None, rerank: Sequence[str]) -> None:
    """Raise UserError for what does not go together."""
    if rerank and pathway == "query":
        raise UserError("--rerank needs --pathway object: along --pathway query no embeddings are kept")
    if detections is not None and pathway == "query":
        raise UserError("--detections are of everyone in a scene: they cannot be measured along --pathway query")
    if not weights.exists() and not parse_hub_name(weights):
        raise UserError(f"weights {str(weights)!r}: no such file")


def evaluation_folder(weights: Path, data: Path, split: str, pathway: PathwayName) -> Path:
    """Where the results of an evaluation lie unless one says otherwise: beside the weights; for the hub's, in runs/."""
    name = parse_hub_name(weights)
    beside = Path("runs", name.folder) if name else weights if weights.is_dir() else weights.parent
    return beside / "evaluation" / f"{data.resolve().name}-{split}-{pathway}"


def _own_data(weights: Path) -> Path:
    """The data set a run was trained on. Raises UserError for a weights file, which does not know."""
    if not weights.is_dir():
        raise UserError(f"{str(weights)!r} is no run that knows its data: name a prepared data set with --data")
    return Path(read_run_config(weights).data.root)


def named_protocols(root: Path, names: list[str]) -> dict[str, Protocol]:
    """Named protocols of a prepared data set. Raises UserError with those there are."""
    chosen: dict[str, Protocol] = {}
    for name in names:
        file = root / "retrieval" / f"{name}.json"
        if not file.is_file():
            there = sorted(path.stem for path in file.parent.glob("*.json"))
            raise UserError(f"data set {str(root)!r} has no protocol {name!r}; it has {', '.join(there) or 'none'}")
        chosen[name] = next(iter(read_protocols(file).values()))
    return chosen
