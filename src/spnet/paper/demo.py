"""`spnet demo`: what pre-training is for, as a table of two rows at a scale of minutes on synthetic scenes.

OUTPUT/data, classifier.safetensors   the data set, and what every backbone starts from (demo.json: of which settings)
OUTPUT/*/                             the runs: a pre-training on boxes alone, a fine-tuning with it, one without
OUTPUT/metrics.json, report.html      the metrics of both networks, and all of it to look at
OUTPUT/weights.safetensors            the pre-trained network, which then searches rendered video (`demo_video.py`)
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import spnet
from spnet.config.io import check
from spnet.config.presets import get_preset
from spnet.config.schema import Stage
from spnet.data.schema import Annotations, read_annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.metrics_file import METRICS, read_about
from spnet.evaluation.protocols import Protocol, read_protocols
from spnet.evaluation.report import measure
from spnet.evaluation.runner import DETECTIONS, evaluation_folder
from spnet.extras import import_extra
from spnet.files import LOCK, exclusive_lock, write_bytes, write_json
from spnet.models.hub import WEIGHTS_NAME, find_weights
from spnet.paper import demo_video
from spnet.paper.datasets import COCOPERSONS, SYNTHETIC, synthetic_sources
from spnet.paper.paper_table import PaperTable, Row, Scale, spnet_s
from spnet.paper.plan import make_plan
from spnet.paper.recipes import without_finetuning, without_pretraining
from spnet.paper.reproduce import describe_plan, run_plan
from spnet.paper.scales import SMALL_BACKBONE, small_scale
from spnet.reports.context import EvaluatedModel, ReportContext
from spnet.reports.curves import LossPanel, read_curve
from spnet.reports.render import write_report_page
from spnet.runs.folder import split_file
from spnet.runs.index import Run, RunIndex
from spnet.runs.record import file_digest, hardware, versions
from spnet.synthetic import check_counts, prepare_synthetic
from spnet.synthetic.walk import prepare_walk
from spnet.training.classifier import NUM_IMAGES, train_classifier

PRESET = "spnet-tiny"
EPOCHS: dict[Stage, int] = {"pretrain": 5, "finetune": 17}  # few: there are more images than SPNet-tiny is tuned for
FEWEST_IMAGES = 40  # that the classifier is trained on
RECORDS = "demo.json"
KEYS = {"mAP": "mAP", "top-1": "top1", "GT mAP": "gt_mAP", "AP@0.5": "ap", "recall": "recall"}
NETWORKS = {"pretrained": "pre-trained", "from_scratch": "not pre-trained"}  # key of the metrics and name of the row
PRETRAINING = PaperTable(
    "pretraining",
    "Pre-training, query-centric, on boxes alone",
    ((COCOPERSONS.title, ("hours",)),),
    (Row("pre-training", spnet_s(without_finetuning), {}),),
)
FINETUNING = PaperTable(
    "demo",
    "Fine-tuning with and without pre-training, side by side; searching for people never seen in training",
    ((SYNTHETIC.title, tuple(KEYS)),),
    (Row("pre-trained", spnet_s(), {}), Row("not pre-trained", spnet_s(without_pretraining), {})),
)
CLOSING = (
    "What the numbers mean: nobody searched for here was seen in training, so they say how well a small network, "
    "trained for minutes, finds unknown people again. The two networks differ in pre-training alone, and one seed is "
    "one sample. The scenes are synthetic, not filmed: that everything works end to end is shown here; how well it "
    "works on real streets is not."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """What is done: the options of `spnet demo`, by their names."""

    output: Path
    scenes: int
    identities: int
    test_scenes: int
    test_identities: int
    seed: int
    epochs_scale: float

    @property
    def counts(self) -> dict[str, int]:
        """What is rendered."""
        names = ("scenes", "identities", "seed", "test_scenes", "test_identities")
        return {name: getattr(self, name) for name in names}

    @property
    def walk(self) -> dict[str, Any]:
        """What is rendered of the videos: shorter ones for trials."""
        seconds = max(10.0, 24.0 * min(1.0, self.epochs_scale))
        return {"seconds": seconds, "people": round(seconds / 4), "seed": self.seed}

    @property
    def scale(self) -> Scale:
        """SPNet-tiny for the epochs of the demo."""
        epochs = {stage: max(1, round(count * self.epochs_scale)) for stage, count in EPOCHS.items()}
        return small_scale(self.output / "classifier.safetensors", epochs, "demo")


class Inputs:
    """Data and classifier: OUTPUT/demo.json has the settings each was made with and the seconds that took.

    Raises UserError for an output folder that holds something else, or whose records cannot be read.
    """

    def __init__(self, output: Path) -> None:
        self._file = output / RECORDS
        self._records: dict[str, Any] = {}
        if self._file.is_file():
            try:
                self._records = dict(json.loads(self._file.read_text()))
                sound = all(record["settings"] and record["seconds"] >= 0 for record in self._records.values())
            except (OSError, ValueError, TypeError, KeyError):
                sound = False
            if not sound:
                raise UserError(f"{self._file}: it is damaged; remove {output}, or choose another --output") from None
        elif output.exists() and not (output.is_dir() and {file.name for file in output.iterdir()} <= {LOCK}):
            raise UserError(f"--output {output}: it holds something else (it has no {RECORDS}); choose another folder")

    @property
    def seconds(self) -> dict[str, float]:
        """What each took, interrupted attempts included."""
        return {name: record["seconds"] for name, record in self._records.items()}

    def make(self, name: str, path: Path, settings: Mapping[str, object], work: Callable[[], object]) -> None:
        """Make `path`, unless it was made with the same settings; other settings replace it."""
        record = self._records.get(name)
        if record and record["settings"] != settings:
            logger.info(f"{name}: anew, its settings changed")
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            record = None
        elif record and path.exists():
            logger.info(f"{name}: done before, in {record['seconds']:.0f} s")
            return
        logger.info(f"{name}: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        before, started = record["seconds"] if record else 0.0, time.monotonic()
        self._save(name, settings, before)
        try:
            work()
        finally:
            self._save(name, settings, before + time.monotonic() - started)

    def _save(self, name: str, settings: Mapping[str, object], seconds: float) -> None:
        self._records[name] = {"settings": settings, "seconds": seconds}
        write_json(self._file, self._records)


def run_demo(demo: Demo) -> dict[str, Any]:
    """Do what is not done yet; returns the content of metrics.json.

    Raises:
        UserError: options that do not fit, an output folder that holds something else, or a run that failed.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    if not 0 < demo.epochs_scale < math.inf:
        raise UserError(f"--epochs-scale {demo.epochs_scale} must be a number above 0")
    check_counts(**demo.counts)  # all mistakes first, before anything is made or replaced
    check(replace(get_preset(PRESET, "finetune"), seed=demo.seed))
    inputs = Inputs(demo.output)  # before the lock, which would make a folder that is not empty
    with exclusive_lock(demo.output):
        root = demo.output / "data" / SYNTHETIC.key
        settings = {**demo.counts, "spnet": spnet.__version__}
        inputs.make("data", root, settings, lambda: prepare_synthetic(root, **demo.counts))
        images = max(FEWEST_IMAGES, round(NUM_IMAGES * demo.epochs_scale))
        file = demo.output / "classifier.safetensors"
        settings = {"seed": demo.seed, "images": images}
        inputs.make("classifier", file, settings, lambda: train_classifier(SMALL_BACKBONE, file, demo.seed, images))
        for table, at_once in ((PRETRAINING, 1), (FINETUNING, len(NETWORKS))):
            plan = make_plan(table, demo.scale, synthetic_sources(root), (demo.seed,))
            logger.info("\n".join(describe_plan(plan, demo.output)))
            _, failed = run_plan(plan, demo.output, at_once)
            problems = {cell.column: cell.problem for cell in plan.cells if cell.problem}
            for name, problem in (problems | failed).items():
                raise UserError(f"{name}: {problem}")
        index = RunIndex(demo.output)
        runs = [training.find(index) for training in plan.trainings()]  # the pre-training, then those of both networks
        video = _search_video(demo, find_weights(runs[1].folder), inputs)
        return _report(demo, root, runs, inputs.seconds, video)


def _search_video(demo: Demo, weights: Path, inputs: Inputs) -> dict[str, int]:
    """Render two videos, index them with the pre-trained network, search; nothing of it where a package is missing."""
    kept = demo.output / WEIGHTS_NAME
    write_bytes(kept, weights.read_bytes())
    try:
        for package in demo_video.PACKAGES:
            import_extra(package)
    except UserError as error:
        logger.warning(f"no search in video: {error}")
        return {}
    walk, index = demo.output / "data" / "walk", demo.output / "people.index"
    inputs.make("walk", walk, demo.walk | {"spnet": spnet.__version__}, lambda: prepare_walk(walk, **demo.walk))
    settings = demo.walk | {"weights": file_digest(kept)}
    inputs.make("index", index, settings, lambda: demo_video.index_walk(walk, kept, index))
    return demo_video.search_walk(walk, index, demo.output / "search.html")


def _report(
    demo: Demo, root: Path, runs: Sequence[Run], seconds: dict[str, float], video: Mapping[str, int]
) -> dict[str, Any]:
    """Write the page and, last, the metrics."""
    started = time.monotonic()
    annotations = read_annotations(split_file(root, SYNTHETIC.test))
    protocols = read_protocols(root / "retrieval" / f"{SYNTHETIC.test}.json")
    folders = [evaluation_folder(run.folder, root, SYNTHETIC.test, "object") for run in runs[1:]]
    arrays = [read_arrays(folder / DETECTIONS) for folder in folders]
    named = zip(NETWORKS.values(), arrays, strict=True)
    models = [EvaluatedModel(name, measure(one, protocols), one) for name, one in named]
    pretraining, *tuned = [run.record.seconds if run.record else 0.0 for run in runs]
    seconds |= {"pretrain": pretraining, "finetune": max(tuned)}  # the slower of those side by side
    seconds["evaluate"] = max(read_about(folder / METRICS)["seconds"] for folder in folders)
    context = _context(annotations, protocols[SYNTHETIC.test], models, [run.folder for run in runs], seconds, demo.seed)
    write_report_page(demo.output / "report.html", context)
    seconds = {name: round(value, 1) for name, value in seconds.items()}
    seconds["report"] = round(time.monotonic() - started, 1)
    metrics: dict[str, Any] = {
        key: {KEYS[metric]: value for metric, value in model.metrics(SYNTHETIC.test).items()}
        for key, model in zip(NETWORKS, models, strict=True)
    }
    metrics |= {
        "video": video,
        "seconds": seconds | {"total": round(sum(seconds.values()), 1)},
        "seed": demo.seed,
        "settings": {"configuration": PRESET, **demo.counts, "epochs_scale": demo.epochs_scale},
        "versions": versions(),
    }
    write_json(demo.output / "metrics.json", metrics)
    return metrics


def _context(
    annotations: Annotations,
    protocol: Protocol,
    measured: Sequence[EvaluatedModel],
    runs: Sequence[Path],
    seconds: Mapping[str, float],
    seed: int,
) -> ReportContext:
    """The page: `measured` are both networks, `runs` the pre-training and then those of both."""
    scenes, people = len(annotations.scene_ids), len(protocol.queries)
    lead = (
        "A small Swap Path Network learned to find one given person among everyone in synthetic scenes "
        "(query-centric, from boxes alone, without knowing who is who), and was then fine-tuned to detect everyone and "
        "tell people apart (object-centric). A second network was fine-tuned the same way, but without that "
        "pre-training. The backbones of both started from a classifier of rendered objects, as the paper's start from "
        f"one of ImageNet. Both searched {scenes} scenes for {people} people that neither had seen before."
    )
    facts = {"made": f"{datetime.now():%Y-%m-%d %H:%M}", "seed": str(seed), "machine": hardware()}
    facts |= {name: f"{value:.0f} s" for name, value in seconds.items()}
    tuning = {one.name: read_curve(run) for one, run in zip(measured, runs[1:], strict=True)}
    panels = [
        LossPanel("pre-training, query-centric", {"pre-training": read_curve(runs[0])}),
        LossPanel("fine-tuning, object-centric", tuning),
    ]
    title = "Person search in synthetic scenes"
    return ReportContext(title, lead, annotations, "test", protocol, measured, facts, panels, CLOSING)
