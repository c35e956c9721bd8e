"""The classifier of rendered objects: it learns, backbones load it, lwf is measured by it, nothing half-made stays."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from miniature import BACKBONE, make_batch, make_config
from spnet.config.schema import BackboneConfig, ModelConfig, ObjectiveConfig, RunConfig, WeightsConfig
from spnet.errors import UserError
from spnet.models.backbone import Backbone
from spnet.models.checkpoints import save_weights
from spnet.models.spnet import SPNet
from spnet.synthetic import objects
from spnet.synthetic.objects import CLASSES, object_images
from spnet.synthetic.scenario import TEST
from spnet.training import classifier
from spnet.training.classifier import classifying, train_classifier
from spnet.training.objective import SPNetLoss
from spnet.training.transfer import build_network

RESNET = BackboneConfig("resnet10t", "none", 0.0, {"channels": [16, 24, 24, 32], "stem_width": 16})
SHORT = {"num_images": 38, "epochs": 1}
FORGETTING = ObjectiveConfig(samples_per_image=24, queue_size=6, lwf=True)


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "STREETS", 2)
        patch.setattr(classifier, "HELD_OUT", 95)
        yield


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    file = tmp_path_factory.mktemp("learned") / "new" / "classifier.safetensors"
    return file, train_classifier(RESNET, file, seed=1, num_images=570, epochs=6)


@pytest.fixture(scope="module")
def convnext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("convnext") / "classifier.safetensors"
    train_classifier(BACKBONE, file, **SHORT)
    return file


def test_it_learns_in_seconds(learned: tuple[Path, float]) -> None:
    assert learned[1] > 3 / len(CLASSES)  # chance is a third of that


def test_the_accuracy_is_that_of_the_weights_in_the_file(learned: tuple[Path, float]) -> None:
    file, accuracy = learned
    backbone = Backbone(classifying(RESNET, file), with_classifier=True).eval()
    drawn = list(object_images(TEST, 95, 1))
    images = torch.stack([torch.from_numpy(image) for image, _ in drawn]).permute(0, 3, 1, 2)
    with torch.no_grad():
        _, logits = backbone.forward_with_classes(backbone.normalize(images, torch.tensor([images.shape[2:]] * 95)))
    right = (logits.argmax(1) == torch.tensor([label for _, label in drawn])).sum().item()
    assert right == pytest.approx(95 * accuracy, abs=3)  # bfloat16 in training, float32 here


def test_the_file_says_how_it_was_made(learned: tuple[Path, float]) -> None:
    file, accuracy = learned
    with safe_open(file, "pt") as content:
        stored = json.loads(content.metadata()["classifier"])
    assert stored.pop("backbone") == {
        "name": "resnet10t",
        "weights": "none",
        "drop_path": 0.0,
        "model_kwargs": {**RESNET.model_kwargs, "num_classes": len(CLASSES)},
        "semantic_weight": None,
    }
    assert stored == {"seed": 1, "num_images": 570, "epochs": 6, "classes": list(CLASSES), "accuracy": accuracy}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("with_classifier", [False, True])
@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_backbones_start_from_it(name: str, with_classifier: bool, learned: tuple[Path, float], convnext: Path) -> None:
    file, config = (learned[0], RESNET) if name == "resnet" else (convnext, BACKBONE)
    backbone = Backbone(classifying(config, file), with_classifier)
    state, stored = backbone.net.state_dict(), load_file(file)
    assert all(torch.equal(value, stored[key]) for key, value in state.items())
    assert (set(state) == set(stored)) == with_classifier
    assert [feature.shape[2] for feature in backbone(torch.zeros(2, 3, 64, 64))] == [8, 4, 2]


def test_learning_without_forgetting_distils_it(convnext: Path) -> None:
    model = make_config(backbone=classifying(BACKBONE, convnext))
    network, _ = build_network(RunConfig(model=model, objective=FORGETTING))
    objective = SPNetLoss(FORGETTING, network, identities=2)
    batch = make_batch()
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    before = load_file(convnext)["head.fc.weight"]
    losses = objective(network, batch)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    student, initial = (
        part.state_dict()[f"{name}.net.head.fc.weight"]
        for part, name in ((network, "backbone"), (objective, "initial_backbone"))
    )
    assert torch.equal(initial, before)
    assert not torch.equal(student, before)
    # away from the classifier the loss is larger
    assert objective(network, batch)["lwf"] > losses["lwf"]


def test_fine_tuning_from_pre_trained_weights_takes_the_backbone_from_these(convnext: Path, tmp_path: Path) -> None:
    model: ModelConfig = make_config(backbone=classifying(BACKBONE, convnext))
    pretrained = SPNet(model, with_classifier=True)
    torch.nn.init.ones_(pretrained.backbone.net.state_dict()["stem.0.bias"])
    save_weights(tmp_path / "weights.safetensors", pretrained, "query")
    source = WeightsConfig(str(tmp_path / "weights.safetensors"))
    for lwf in (False, True):
        run = RunConfig(model=model, objective=replace(FORGETTING, lwf=lwf), weights=source)
        network, _ = build_network(run)
        assert (network.backbone.net.state_dict()["stem.0.bias"] == 1).all()
        assert network.backbone.has_classifier == lwf


def test_the_same_settings_are_not_trained_twice(
    convnext: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = convnext.read_bytes()
    again = tmp_path / "again.safetensors"
    accuracy = train_classifier(replace(BACKBONE, weights="imagenet"), again, **SHORT)
    assert again.read_bytes() == content
    monkeypatch.setattr(classifier, "_train", None)
    assert train_classifier(BACKBONE, convnext, **SHORT) == accuracy
    assert convnext.read_bytes() == content


@pytest.mark.parametrize(
    ("backbone", "numbers", "message"),
    [
        (BACKBONE, SHORT | {"seed": 4}, "seed 0, not 4; remove it"),
        (BACKBONE, SHORT | {"num_images": 39, "epochs": 3}, "num_images 38, not 39; epochs 1, not 3"),
        (RESNET, SHORT, "backbone .*convnext_tiny.*, not .*resnet10t"),
    ],
)
def test_a_file_of_other_settings_is_refused(
    convnext: Path, backbone: BackboneConfig, numbers: dict[str, int], message: str
) -> None:
    content = convnext.read_bytes()
    with pytest.raises(UserError, match=f"classifier.safetensors: .*{message}") as caught:
        train_classifier(backbone, convnext, **numbers)
    assert "\n" not in str(caught.value)
    assert convnext.read_bytes() == content


def test_any_other_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no weights")
    save_file({"a": torch.zeros(1)}, tmp_path / "other", {"spnet": "{}"})
    save_file({"a": torch.zeros(1)}, tmp_path / "damaged", {"classifier": '{"accuracy": 1'})
    for name in ("text", "other", "damaged"):
        with pytest.raises(UserError, match=f"{name}: it exists and is no classifier"):
            train_classifier(BACKBONE, tmp_path / name, **SHORT)
    with pytest.raises(UserError, match="its folder cannot be made"):
        train_classifier(BACKBONE, tmp_path / "text" / "file", **SHORT)


@pytest.mark.parametrize("numbers", [{"num_images": 18}, {"epochs": 0}, {"seed": -1}])
def test_numbers_that_are_too_small_are_refused(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least 19 images, 1 epoch and a seed of 0"):
        train_classifier(BACKBONE, tmp_path / "file", **{**SHORT, **numbers})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[torch.Tensor] = []

    def interrupted(*arguments: Any) -> torch.Tensor:
        if losses:
            raise KeyboardInterrupt
        losses.append(torch.nn.functional.cross_entropy(*arguments))
        return losses[-1]

    monkeypatch.setattr(classifier, "cross_entropy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(BACKBONE, tmp_path / "file", **SHORT)
    assert losses
    assert list(tmp_path.iterdir()) == []
