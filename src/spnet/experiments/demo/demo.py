"""The whole of person search in minutes, with no download: what pre-training is for, on streets the package draws.

OUTPUT/data                    the synthetic data set
OUTPUT/pretrain                a run, query-centric, on boxes alone
OUTPUT/finetune/pretrained     a run, object-centric, from those weights
OUTPUT/finetune/from_scratch   the same from random weights
OUTPUT/evaluate                figures and detections of both
OUTPUT/metrics.json            the figures that matter
OUTPUT/report.html             all of it to look at
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
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
from spnet.experiments.demo.demo_page import demo_subject
from spnet.experiments.demo.phases import Phases
from spnet.experiments.running.alone import alone_in
from spnet.experiments.running.side_by_side import Job, run_jobs
from spnet.model.weights import WEIGHTS_NAME
from spnet.parsing import to_plain
from spnet.search.evaluate import DETECTIONS, evaluate_weights
from spnet.search.report_page import write_report_page
from spnet.search.report_subject import Measured
from spnet.training.config import RunConfig
from spnet.training.fit import fit
from spnet.training.record import versions
from spnet.training.run_files import LAST

NAME = "spnet-tiny"
SPLIT = "test"
NETWORKS = {"pretrained": "pre-trained", "from_scratch": "from scratch"}  # key of the metrics and name of the run
KEYS = {"mAP": "mAP", "top-1": "top1", "GT mAP": "gt_mAP", "AP@0.5": "ap", "recall": "recall"}


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
    phases = Phases(demo.output, total=5)  # before the lock, which would make a folder that is not empty
    with alone_in(demo.output):
        return _run(demo, phases)


def _run(demo: Demo, phases: Phases) -> dict[str, Any]:
    drawn = {"scenes": demo.scenes, "identities": demo.identities, "seed": demo.seed, "spnet": spnet.__version__}
    draw = partial(prepare_synthetic, scenes=demo.scenes, identities=demo.identities, seed=demo.seed)
    phases.run("data", f"drawing {demo.scenes * 5 // 2} street scenes", drawn, draw)
    pretrain = configured(demo, "pretrain")
    heading = f"pre-training, query-centric, on boxes alone ({pretrain.optimiser.epochs} epochs)"
    phases.run("pretrain", heading, settings_of(pretrain), partial(_train, located(pretrain, demo)), ["data"])
    finetune = configured(demo, "finetune")
    heading = f"fine-tuning with and without pre-training, side by side ({finetune.optimiser.epochs} epochs each)"
    work = partial(_finetune, located(finetune, demo), demo.output / "pretrain")
    phases.run("finetune", heading, settings_of(finetune), work, ["data", "pretrain"])
    evaluate = partial(_evaluate, demo.output)
    phases.run("evaluate", "searching for people never seen in training", {}, evaluate, ["data", "finetune"])
    return _report(phases, demo)


def configured(demo: Demo, stage: Stage) -> RunConfig:
    """A training run of the demo, before it is known where its data lies."""
    base = named(NAME, stage)
    epochs = max(1, round(base.optimiser.epochs * demo.epochs_scale))
    split = "pretrain" if stage == "pretrain" else "train"
    return replace(
        base,
        data=replace(base.data, train_split=split),
        optimiser=replace(base.optimiser, epochs=epochs),
        seed=demo.seed,
    )


def located(config: RunConfig, demo: Demo) -> RunConfig:
    """The run on the demo's data."""
    return replace(config, data=replace(config.data, root=str(demo.output / "data")))


def settings_of(config: RunConfig) -> dict[str, Any]:
    """What a phase depends on: no paths, so that the folder can be moved."""
    return to_plain(config)


def _finetune(config: RunConfig, pretrained: Path, folder: Path) -> None:
    """Both trainings at once: two with one thread each take less time than two in turn with two."""
    sources = {"pretrained": str(pretrained), "from_scratch": None}
    runs = {name: replace(config, weights=replace(config.weights, source=source)) for name, source in sources.items()}
    _both({name: partial(_train, run, folder / name) for name, run in runs.items()})


def _evaluate(output: Path, folder: Path) -> None:
    data, runs = output / "data", output / "finetune"
    _both(
        {
            name: partial(evaluate_weights, runs / name, data=data, split=SPLIT, output=folder / name, workers=0)
            for name in NETWORKS
        }
    )


def _both(works: Mapping[str, Callable[[], object]]) -> None:
    """Do it for both networks at once. Raises UserError for what is wrong with either."""
    problems = run_jobs([Job(NETWORKS[name], work) for name, work in works.items()], at_once=len(works))
    for name, problem in problems.items():
        raise UserError(f"{name}: {problem}")


def _train(config: RunConfig, folder: Path) -> None:
    """Train, from the last checkpoint of an interrupted attempt if there is one."""
    if (folder / WEIGHTS_NAME).is_file():
        return
    resumable = (folder / LAST).is_file()
    if not resumable:
        shutil.rmtree(folder, ignore_errors=True)
    fit(config, folder, resume=resumable)


def _report(phases: Phases, demo: Demo) -> dict[str, Any]:
    """Write the page and, last, the metrics."""
    started = time.monotonic()
    print("5/5 writing the report", flush=True)
    data, evaluated = demo.output / "data", demo.output / "evaluate"
    annotations = read_annotations(data / "annotations" / f"{SPLIT}.json")
    protocols = read_protocols(data / "retrieval" / f"{SPLIT}.json")
    measured = {}
    for name in NETWORKS:
        arrays = read_arrays(evaluated / name / DETECTIONS)
        measured[name] = Measured(NETWORKS[name], measure(arrays, protocols), arrays)
    runs = [demo.output / "pretrain", *(demo.output / "finetune" / name for name in NETWORKS)]
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
        "versions": versions(),
    }
    with written_whole(demo.output / "metrics.json") as stream:
        stream.write((json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    return metrics
