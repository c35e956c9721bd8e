"""The scripts in examples/ do what they say."""

import os
import subprocess
from pathlib import Path

from small_dataset import options

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(python: str, script: str, *arguments: str) -> str:
    ended = subprocess.run(
        [python, str(EXAMPLES / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_search_images(small_run: Path, small_data: Path, preloaded: str) -> None:
    images = small_data.parent / "images"
    lines = run(
        preloaded, "search_images.py", str(small_run), str(images / "test0.png"), *["5", "6", "30", "60"], str(images)
    )
    ranked = [line.split() for line in lines.splitlines()]
    similarities = [float(line[0]) for line in ranked]
    assert similarities == sorted(similarities, reverse=True)
    assert all((images / line[1]).is_file() and len(line) == 6 for line in ranked)
    assert ranked


def test_train_in_python(small_data: Path, preloaded: str, tmp_path: Path) -> None:
    printed = run(
        preloaded, "train_in_python.py", str(small_data), str(tmp_path / "run"), *options(optimizer__epochs=4)
    )
    assert "mAP" in printed
    assert "epoch 4: loss " in printed
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert (tmp_path / "run" / "logs" / "csv" / "version_0" / "metrics.csv").is_file()
