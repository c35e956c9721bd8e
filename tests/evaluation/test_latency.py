"""The time a scene takes: measured scene by scene after some to warm up, and kept with what it was measured on."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from miniature import make_network
from spnet.config.schema import InferenceConfig
from spnet.data.schema import Annotations, read_annotations
from spnet.errors import UserError
from spnet.evaluation import latency as latency_module
from spnet.evaluation.extract import ExtractionConfig
from spnet.evaluation.latency import WARM_UP, Latency, measure_latency, read_latency, write_latency
from spnet.models.fpn import FeatureMaps
from spnet.models.inference import detect_all
from spnet.models.spnet import SPNet
from spnet.types import Detections

SPEED = Latency(12.5, 30, 900, 1500, 1, "CPU, 2 cores")


@pytest.fixture
def scenes(small_data: Path) -> Annotations:
    return read_annotations(small_data / "annotations" / "test.json")


class Clock:
    """Each scene takes as many seconds as it is told, those that warm up very long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
        self.now, self.seconds = 0.0, iter(seconds)
        self.batches: list[tuple[int, ...]] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

        def detect(network: SPNet, features: FeatureMaps) -> Detections:
            self.batches.append(tuple(features.sizes.tolist()[0]))
            assert len(features.sizes) == 1
            assert not torch.is_grad_enabled()
            assert not network.training
            self.now += next(self.seconds)
            return detect_all(network, features)

        monkeypatch.setattr(latency_module, "detect_all", detect)


def test_the_median_scene_after_warming_up(scenes: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [50, 50, 50, 0.2, 0.9, 0.4])
    speed = measure_latency(make_network(), scenes, ExtractionConfig(InferenceConfig(32, 48), batch_size=4))
    assert speed.milliseconds == pytest.approx(400)
    assert speed.scenes == len(scenes.scene_ids) - WARM_UP == 3
    assert clock.batches == [(32, 48)] * 6
    assert (speed.min_size, speed.max_size, speed.threads) == (32, 48, torch.get_num_threads())
    assert speed.hardware


def test_no_more_scenes_than_asked_for(scenes: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [50, 50, 50, 0.2, 0.3])
    speed = measure_latency(make_network(), scenes, ExtractionConfig(InferenceConfig(32, 48)), scenes=2)
    assert len(clock.batches) == 5
    assert speed.scenes == 2
    assert speed.milliseconds == pytest.approx(250)


def test_too_few_scenes_to_warm_up_are_all_timed(scenes: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, [0.1, 0.3])
    monkeypatch.setattr(latency_module, "WARM_UP", 2)
    speed = measure_latency(make_network(), scenes, ExtractionConfig(InferenceConfig(32, 48)), scenes=0)
    assert speed.scenes == 2
    assert speed.milliseconds == pytest.approx(200)


def test_a_real_clock(scenes: Annotations) -> None:
    """Larger scenes take longer."""
    network = make_network().train()
    small, large = (
        measure_latency(network, scenes, ExtractionConfig(InferenceConfig(*window))).milliseconds
        for window in ((32, 48), (512, 768))
    )
    assert 0 < small < large
    assert np.isfinite(large)


def test_a_broken_image_is_named(small_data: Path, tmp_path: Path) -> None:
    content = json.loads((small_data / "annotations" / "test.json").read_text())
    content["info"] = {"image_root": str(tmp_path)}
    (tmp_path / "data" / "annotations").mkdir(parents=True)
    file = tmp_path / "data" / "annotations" / "test.json"
    file.write_text(json.dumps(content))
    (tmp_path / "test0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"test0\.png"):
        measure_latency(make_network(), read_annotations(file), ExtractionConfig(InferenceConfig(32, 48)))


def test_a_speed_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_latency(tmp_path / "speed.json", SPEED)
    assert read_latency(tmp_path / "speed.json") == SPEED
    assert [file.name for file in tmp_path.iterdir()] == ["speed.json"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "{}", '{"milliseconds": 3}'])
def test_damaged_speeds_are_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError) as raised:
        read_latency(file)
    assert str(raised.value).startswith(f"{file}: no measured speed (")
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none/speed\.json: cannot be written: No such file or directory"):
        write_latency(tmp_path / "none" / "speed.json", SPEED)
