"""The whole of person search in minutes, with no download: what pre-training is for, on streets the package draws.

OUTPUT/data                    the synthetic data set
OUTPUT/classifier              what every backbone starts from: it tells drawn objects apart
OUTPUT/pretrain                a run, query-centric, on boxes alone
OUTPUT/finetune/pretrained     a run, object-centric, from those weights
OUTPUT/finetune/from_scratch   the same without pre-training
OUTPUT/evaluate                figures and detections of both
OUTPUT/metrics.json            the figures that matter
OUTPUT/report.html             all of it to look at
"""

import json
import math
import time
from functools import partial
from typing import Any

import spnet
from spnet.config.io import check, to_plain
from spnet.data.schema import read_annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.report import measure
from spnet.evaluation.runner import DETECTIONS
from spnet.files import atomic_write, exclusive_lock
from spnet.paper.demo.demo_page import demo_context
from spnet.paper.demo.networks import (
    NAME,
    NETWORKS,
    SPLIT,
    classify,
    configured,
    evaluate_both,
    fine_tune_both,
    images_of,
    located,
    train,
)  # fmt: skip
from spnet.paper.demo.options import Demo
from spnet.paper.demo.phases import Phases
from spnet.reports.context import EvaluatedModel
from spnet.reports.render import write_report_page
from spnet.runs.record import versions
from spnet.synthetic import check_counts, prepare_synthetic

KEYS = {"mAP": "mAP", "top-1": "top1", "GT mAP": "gt_mAP", "AP@0.5": "ap", "recall": "recall"}


def run_demo(demo: Demo) -> dict[str, Any]:
    """Do what is not done yet; returns the content of metrics.json.

    Raises:
        UserError: options that do not fit, or an output folder that holds something else.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    if not 0 < demo.epochs_scale < math.inf:
        raise UserError(f"--epochs-scale {demo.epochs_scale} must be a number above 0")
    check_counts(**_streets(demo))  # all mistakes first: a phase whose settings changed removes what was there
    check(configured("finetune", demo.seed, demo.epochs_scale))
    phases = Phases(demo.output, total=6)  # before the lock, which would make a folder that is not empty
    with exclusive_lock(demo.output):
        return _run(demo, phases)


def _run(demo: Demo, phases: Phases) -> dict[str, Any]:
    """Phase by phase; each says what it depends on, without paths, so that the folder can be moved."""
    output = demo.output
    drawn = _streets(demo) | {"spnet": spnet.__version__}
    heading = f"drawing {2 * demo.scenes + demo.test_scenes} street scenes"
    phases.run("data", heading, drawn, lambda folder: prepare_synthetic(folder, **_streets(demo)))
    objects = {"seed": demo.seed, "images": images_of(demo.epochs_scale)}
    heading = "the backbone learns to tell drawn objects apart"
    phases.run("classifier", heading, objects, lambda folder: classify(folder=folder, **objects))
    pretrain = configured("pretrain", demo.seed, demo.epochs_scale)
    heading = f"pre-training, query-centric, on boxes alone ({pretrain.optimizer.epochs} epochs)"
    work = partial(train, located(pretrain, output))
    phases.run("pretrain", heading, to_plain(pretrain), work, ["data", "classifier"])
    finetune = configured("finetune", demo.seed, demo.epochs_scale)
    heading = f"fine-tuning with and without pre-training, side by side ({finetune.optimizer.epochs} epochs each)"
    work = partial(fine_tune_both, located(finetune, output), output / "pretrain")
    phases.run("finetune", heading, to_plain(finetune), work, ["data", "classifier", "pretrain"])
    work = partial(evaluate_both, output / "data", output / "finetune")
    phases.run("evaluate", "searching for people never seen in training", {}, work, ["data", "finetune"])
    return _report(phases, demo)


def _streets(demo: Demo) -> dict[str, int]:
    """What is drawn."""
    return {
        "scenes": demo.scenes,
        "identities": demo.identities,
        "seed": demo.seed,
        "test_scenes": demo.test_scenes,
        "test_identities": demo.test_identities,
    }


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
        measured[name] = EvaluatedModel(NETWORKS[name], measure(arrays, protocols), arrays)
    runs = [demo.output / "pretrain", *(demo.output / "finetune" / name for name in NETWORKS)]
    subject = demo_context(annotations, protocols[SPLIT], list(measured.values()), runs, phases.seconds, demo.seed)
    write_report_page(demo.output / "report.html", subject)
    seconds = phases.seconds | {"report": round(time.monotonic() - started, 1)}
    metrics: dict[str, Any] = {
        name: {KEYS[figure]: value for figure, value in one.metrics(SPLIT).items()} for name, one in measured.items()
    }
    metrics |= {
        "seconds": seconds | {"total": round(sum(seconds.values()), 1)},
        "seed": demo.seed,
        "settings": {"configuration": NAME, **_streets(demo), "epochs_scale": demo.epochs_scale},
        "versions": versions(),
    }
    with atomic_write(demo.output / "metrics.json") as stream:
        stream.write((json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    return metrics
