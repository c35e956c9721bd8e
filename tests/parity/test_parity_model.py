"""Every training and inference case of the authors' implementation, to the tolerances of their README."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import case_name, find_cases
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from spnet.config.schema import BackboneConfig, ModelConfig, ObjectiveConfig
from spnet.models.checkpoint_conversion import released_to_ours
from spnet.models.inference import detect_all, detect_queries
from spnet.models.spnet import SPNet
from spnet.training.objective import SPNetLoss
from spnet.types import Detections, SceneBatch, Targets

TRAINING = find_cases("model/train_*.json")
INFERENCE = find_cases("model/infer_*.json")
LOSS_NAMES = {"anchor_classification": "anchor_class", "scene_classification_lwf": "lwf", "reid": "reid"}
LOSS_NAMES |= {f"bbox_regression{n + 1}": f"box_{n}" for n in range(9)}
LOSS_NAMES |= {f"classification{n + 1}": f"class_{n}" for n in range(9)}
COLUMNS = ("scores", "boxes", "emb")  # of detections, in the order they are compared
MEMORIES = {"lut": "table", "cq": "queue", "emb_cq": "embeddings", "label_cq": "persons"}


def read(case: Path, part: str) -> dict[str, Any]:
    with np.load(case.parent / f"{case.stem}.{part}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_model_config(case: dict[str, Any]) -> ModelConfig:
    options: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 24)}
    if case["use_classifier_train"]:
        options["num_classes"] = 10
    return ModelConfig(
        backbone=BackboneConfig("convnext_tiny", weights="none", drop_path=0.0, model_kwargs=options),
        heads="separate" if case["emb_align_sep"] else "shared",
        cascade_steps=case["num_cascade_steps"],
        location_dim=case["emb_dim"],
        reid_dim=case["emb_reid_dim"],
        logit_norm="fixed" if case["anchor_logits"] == "norm" else "batch",
        logit_sign="positive" if case["use_posnorm"] else "negative",
    )


def read_objective_config(case: dict[str, Any]) -> ObjectiveConfig:
    return ObjectiveConfig(
        pathway="object" if case["train_mode"] == "oc" else "query",
        detection=not case["reid_only"],
        samples_per_image=case["subsample_per_image"],
        num_pairs=case["subsample_per_query"],
        samples_per_pair=case["subsample_per_image"],
        reid_loss="oim" if case["reid_objective"] == "oim" else "contrastive",
        reid_box_source="gt" if case["reid_gt_only"] else "all",
        logit_scale=case["oim_scalar"],
        queue_size=case["oim_cq_size"],
        oim_momentum=case["oim_momentum"],
        lwf=case["use_classifier_train"],
    )


def read_batch(case: Path, inputs: dict[str, Any], known: int) -> SceneBatch:
    with np.load(case.parent / f"{inputs['scene'].item()}.npz") as scenes:
        images = torch.from_numpy(scenes["images"].astype(np.float32))
    scene_count = len(images)
    columns = {
        name: torch.from_numpy(np.concatenate([inputs[f"target{i}.{name}"] for i in range(scene_count)]))
        for name in ("boxes", "person_id", "labels")
        if f"target0.{name}" in inputs
    }
    counts = torch.tensor([len(inputs[f"target{i}.boxes"]) for i in range(scene_count)])
    labels = columns.get("labels", columns["person_id"] + 1)
    targets = Targets(
        boxes=columns["boxes"],
        scene=torch.arange(scene_count).repeat_interleave(counts),
        person=columns["person_id"],
        identity=torch.where(labels <= known, labels - 1, -1),
    )
    size = torch.tensor(images.shape[2:]).expand(scene_count, 2)
    return SceneBatch(images, size, torch.arange(scene_count), torch.ones(scene_count, 2), targets)


def build(case: Path, config: dict[str, Any]) -> SPNet:
    network = SPNet(read_model_config(config), with_classifier=config["use_classifier_train"])
    state = released_to_ours(
        {name: torch.from_numpy(np.asarray(value)) for name, value in read(case, "weights").items()}
    )
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    assert not missing
    network.load_state_dict({name: state[name] for name in own})
    return network


def load_objective(objective: SPNetLoss, case: Path, config: dict[str, Any]) -> None:
    state = released_to_ours(
        {name: torch.from_numpy(np.asarray(value)) for name, value in read(case, "weights").items()}
    )
    own = objective.state_dict()
    result = objective.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)
    assert set(result.missing_keys) <= {"memory.position"}
    objective.memory.get_buffer("position").fill_(config["queue_write_position"])


@pytest.mark.parametrize("case", TRAINING, ids=case_name)
def test_training_case(case: Path) -> None:
    config = json.loads(case.read_text())
    expected = read(case, "outputs")
    network = build(case, config).train()
    objective = SPNetLoss(read_objective_config(config), network, config["num_known_identities"]).train()
    load_objective(objective, case, config)
    batch = read_batch(case, read(case, "inputs"), config["num_known_identities"])
    for step in range(config["steps"]):
        network.zero_grad()
        losses = objective(network, batch)
        sum(losses.values()).backward()
        theirs = {LOSS_NAMES[n.split("loss.")[1]]: v for n, v in expected.items() if n.startswith(f"step{step}.loss.")}
        assert set(theirs) == set(losses)
        for name, value in theirs.items():
            assert losses[name].item() == pytest.approx(float(value), rel=1e-4), f"step {step}: {name}"
    check_gradients(network, expected)
    for name, ours in MEMORIES.items():
        if f"after.{name}" in expected:
            memory = getattr(objective.memory, ours).numpy()
            np.testing.assert_allclose(memory, expected[f"after.{name}"], atol=1e-4, err_msg=name)


def check_gradients(network: SPNet, expected: dict[str, Any]) -> None:
    norms = {
        n.removeprefix("grad_norm."): torch.tensor(float(v)) for n, v in expected.items() if n.startswith("grad_norm.")
    }
    # a gamma is flattened on conversion: give every norm a shape that survives it
    theirs = {
        name: float(value) for name, value in released_to_ours({n: v.reshape(1) for n, v in norms.items()}).items()
    }
    ours = {name: p.grad.norm().item() for name, p in network.named_parameters() if p.grad is not None}
    largest = max(theirs.values())
    for name, value in theirs.items():
        # biases before a BatchNorm have a gradient of zero but for rounding
        assert ours[name] == pytest.approx(value, rel=1e-4, abs=1e-6 * largest), name
    silent = [name for name, value in ours.items() if name not in theirs and value > 1e-6 * largest]
    assert not silent


@pytest.mark.parametrize("case", INFERENCE, ids=case_name)
@torch.no_grad()
def test_inference_case(case: Path) -> None:
    config = json.loads(case.read_text())
    expected = read(case, "outputs")
    network = build(case, config).eval()
    batch = read_batch(case, read(case, "inputs"), known=10**9)
    features = network.features(batch.images, batch.sizes)  # all scenes at once: they must not touch one another
    embeddings = network.embed(features, batch.targets.boxes, batch.targets.scene)
    if config["test_mode"] == "oc":
        detections = detect_all(network, features)
        for scene in range(len(batch.images)):
            np.testing.assert_allclose(
                embeddings[batch.targets.scene == scene], expected[f"image{scene}.gt_emb"], atol=1e-4
            )
            check_detections(detections, detections.scene == scene, expected, f"image{scene}.det_")
        return
    queries = network.location_embed(1, features, batch.targets.boxes, batch.targets.scene)
    np.testing.assert_allclose(embeddings, expected["query_emb"], atol=1e-4)
    np.testing.assert_allclose(queries, expected["query_loc_emb"], atol=1e-4)
    detections = detect_queries(network, features, queries)
    for scene in range(len(batch.images)):
        for query in range(len(queries)):
            rows = (detections.scene == scene) & (detections.query == query)
            check_detections(detections, rows, expected, f"image{scene}.query{query}.det_")


def check_detections(detections: Detections, rows: torch.Tensor, expected: dict[str, Any], prefix: str) -> None:
    """The same detections, in any order of those whose scores agree within the tolerance."""
    count = len(expected[prefix + "scores"])
    if count == 0:
        assert not rows.any(), prefix
        return
    wanted = np.concatenate([expected[prefix + name].reshape(count, -1) for name in COLUMNS], axis=1)
    columns = (detections.scores[rows][:, None], detections.boxes[rows], detections.embeddings[rows])
    found = torch.cat(columns, dim=1).numpy()
    assert len(found) == len(wanted), prefix
    dims = found.shape[1] - 5
    absolute, relative = np.array([1e-4] + [1e-3] * 4 + [1e-4] * dims), np.array([0.0] * 5 + [1e-4] * dims)
    fits = (np.abs(found[:, None] - wanted) <= absolute + relative * np.abs(wanted)).all(axis=2)
    assert maximum_bipartite_matching(csr_matrix(fits), perm_type="column").min() >= 0, prefix
