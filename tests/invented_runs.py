"""Folders as runs leave them, made in no time: nothing in them was trained."""

import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from spnet.config.io import to_yaml
from spnet.config.presets import get_preset
from spnet.config.schema import Stage
from spnet.evaluation.metrics_file import EVALUATOR_VERSION


@cache
def configuration(stage: Stage = "finetune") -> str:
    """The configuration file of a SPNet-S that was never trained."""
    return to_yaml(get_preset("spnet-s", stage))


def make_run(folder: Path, stage: Stage = "finetune", seconds: float = 9000.0, **replaced: str) -> Path:
    """A finished run; `replaced` lines of its configuration, `seed="7"`."""
    text = configuration(stage)
    for key, value in {"root": "prepared/prw", **replaced}.items():
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        text = text.replace(line, f"{line.partition(':')[0]}: {value}", 1)
    for name in ("checkpoints", "logs", "evaluation"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text(text)
    (folder / "logs" / "metrics.csv").write_text("step,loss/total\n10,3.5\n120,2.5\n")
    with zipfile.ZipFile(folder / "checkpoints" / "last.ckpt", "w") as archive:
        archive.writestr("data", "nothing")
    save_file({"weight": torch.zeros(1)}, folder / "weights.safetensors")
    set_record(folder, state="finished", seconds=seconds)
    return folder


def interrupt(run: Path) -> Path:
    """As Ctrl-C leaves a run."""
    (run / "weights.safetensors").unlink()
    set_record(run, state="started")
    return run


def set_record(run: Path, **fields: Any) -> None:
    """What a run notes of itself."""
    (run / "run.json").write_text(json.dumps({"fingerprint": "0", **fields}))


def evaluate(run: Path, name: str = "prw-test-object", protocol: str = "test", **figures: Any) -> Path:
    """Metrics of an evaluation, fractions of 1, beside those of protocols measured before; returns the file."""
    file = run / "evaluation" / name / "metrics.json"
    content = json.loads(file.read_text()) if file.exists() else {"protocols": {}}
    given = {"mAP": 0.5, "gt_mAP": 0.6, "top1": 0.7, "ap": 0.8, "recall": 0.9, "version": EVALUATOR_VERSION} | figures
    content["evaluator_version"] = given["version"]
    content["protocols"][protocol] = {
        "detection": {"recall@0.5": given["recall"], "ap@0.5": given["ap"]},
        "detected": {"mAP": given["mAP"], "top1": given["top1"], "top5": 1.0, "top10": 1.0},
        "ground_truth": {"mAP": given["gt_mAP"]},
    }
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file
