"""The whole of person search in minutes, with no download: what pre-training is for, on streets the package draws.

OUTPUT/data                    the synthetic data set
OUTPUT/pretrain                a run, query-centric, on boxes alone
OUTPUT/finetune                a run, object-centric, from those weights
OUTPUT/finetune_from_scratch   the same from random weights
OUTPUT/evaluate                figures and detections of both
OUTPUT/metrics.json            the figures that matter
OUTPUT/report.html             all of it to look at
"""

import json
import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import spnet
from spnet.data.schema import read_annotations
from spnet.data.synthetic import prepare_synthetic
from spnet.errors import UserError
from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.files import written_whole
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.report import measure
from spnet.experiments.base import Stage, named
from spnet.experiments.demo_page import demo_subject
from spnet.experiments.phases import Phases
from spnet.model.weights import WEIGHTS_NAME
from spnet.parsing import to_plain
from spnet.search.evaluate import DETECTIONS, evaluate_weights
from spnet.search.report_page import write_report_page
from spnet.search.report_subject import Measured
from spnet.training.config import RunConfig
from spnet.training.fit import LAST, fit

NAME = "spnet-tiny"
SPLIT = "test"
NETWORKS = {"pretrained": "finetune", "from_scratch": "finetune_from_scratch"}  # key of the metrics -> its run
TITLES = {"pretrained": "pre-trained", "from_scratch": "from scratch"}
KEYS = {"mAP": "mAP", "top-1": "top1", "GT mAP": "gt_mAP", "AP@0.5": "ap", "recall": "recall"}
PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy")


@dataclass(frozen=True)
class Demo:
    """What is done, and where.

    Args:
        output: folder of everything; what is there from the same demo is not done again.
        scenes: training scenes; half as many to test on.
        identities: people known in training; as many others are searched in the test.
        seed: of data and training.
        epochs_scale: share of the configuration's epochs, for trials.
    """

    output: Path = Path("runs/demo")
    scenes: int = 300
    identities: int = 50
    seed: int = 0
    epochs_scale: float = 1.0


def run_demo(demo: Demo) -> dict[str, Any]:
    """Do what is not done yet; returns the content of metrics.json.

    Raises:
        UserError: options that do not fit, or an output folder that holds something else.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    if not demo.epochs_scale > 0:
        raise UserError(f"--epochs-scale {demo.epochs_scale} must be above 0")
    phases = Phases(demo.output, total=6)
    drawn = {"scenes": demo.scenes, "identities": demo.identities, "seed": demo.seed, "spnet": spnet.__version__}
    draw = partial(prepare_synthetic, scenes=demo.scenes, identities=demo.identities, seed=demo.seed)
    phases.run("data", f"drawing {demo.scenes * 5 // 2} street scenes", drawn, draw)
    _train(phases, demo, "pretrain", "pre-training, query-centric, on boxes alone")
    _train(phases, demo, "finetune", "fine-tuning, object-centric", start="pretrain")
    _train(phases, demo, "finetune_from_scratch", "fine-tuning without pre-training, to compare")
    evaluate = partial(_evaluate, demo.output)
    phases.run("evaluate", "searching for people never seen in training", {}, evaluate, ["data", *NETWORKS.values()])
    return _report(phases, demo)


def _train(phases: Phases, demo: Demo, name: str, what: str, start: str | None = None) -> None:
    """One training run, from the weights of phase `start` or from random ones."""
    stage: Stage = "pretrain" if name == "pretrain" else "finetune"
    base = named(NAME, stage)
    epochs = max(1, round(base.optimiser.epochs * demo.epochs_scale))
    split = "pretrain" if stage == "pretrain" else "train"
    config = replace(
        base,
        data=replace(base.data, train_split=split),
        optimiser=replace(base.optimiser, epochs=epochs),
        seed=demo.seed,
    )
    settings = to_plain(config)  # without paths, so that the folder can be moved
    config = replace(
        config,
        data=replace(config.data, root=str(demo.output / "data")),
        weights=replace(config.weights, source=str(demo.output / start) if start else None),
    )
    after = ["data", start] if start else ["data"]
    phases.run(name, f"{what} (epochs: {epochs})", settings, partial(_go_on, config), after)


def _go_on(config: RunConfig, folder: Path) -> None:
    """Train, from the last checkpoint of an interrupted attempt if there is one."""
    if (folder / WEIGHTS_NAME).is_file():
        return
    resumable = (folder / LAST).is_file()
    if not resumable:
        shutil.rmtree(folder, ignore_errors=True)
    fit(config, folder, resume=resumable)


def _evaluate(output: Path, folder: Path) -> None:
    for name, run in NETWORKS.items():
        evaluate_weights(output / run, data=output / "data", split=SPLIT, output=folder / name, workers=1)


def _report(phases: Phases, demo: Demo) -> dict[str, Any]:
    """Write the page and, last, the metrics."""
    started = time.monotonic()
    print("6/6 writing the report", flush=True)
    data, evaluated = demo.output / "data", demo.output / "evaluate"
    annotations = read_annotations(data / "annotations" / f"{SPLIT}.json")
    protocols = read_protocols(data / "retrieval" / f"{SPLIT}.json")
    measured = {}
    for name in NETWORKS:
        arrays = read_arrays(evaluated / name / DETECTIONS)
        measured[name] = Measured(TITLES[name], measure(arrays, protocols), arrays)
    runs = {name: demo.output / name for name in ("pretrain", *NETWORKS.values())}
    subject = demo_subject(annotations, protocols[SPLIT], list(measured.values()), runs, phases.seconds, demo.seed)
    write_report_page(demo.output / "report.html", subject)
    seconds = phases.seconds | {"report": round(time.monotonic() - started, 1)}
    metrics: dict[str, Any] = {
        name: {KEYS[figure]: value for figure, value in one.figures(SPLIT).items()} for name, one in measured.items()
    }
    metrics |= {
        "seconds": seconds | {"total": round(sum(seconds.values()), 1)},
        "seed": demo.seed,
        "settings": {
            "configuration": NAME,
            "scenes": demo.scenes,
            "identities": demo.identities,
            "epochs_scale": demo.epochs_scale,
        },
        "versions": {"spnet": spnet.__version__, "python": python_version()}
        | {name: version(name) for name in PACKAGES},
    }
    with written_whole(demo.output / "metrics.json") as stream:
        stream.write((json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    return metrics
