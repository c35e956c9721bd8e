"""Every architecture of Table 7 (top) on a miniature backbone: a training and an inference step along both paths."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from miniature import ROWS, make_batch, make_network
from spnet.config.schema import InferenceConfig, ObjectiveConfig
from spnet.models.inference import detect_all, detect_queries
from spnet.models.spnet import SPNet
from spnet.training.objective import Losses, SPNetLoss
from spnet.types import SceneBatch

TABLE_7: dict[str, dict[str, Any]] = {
    "c0-share-d128": {},
    "c0-sep-d128": {"heads": "separate"},
    "c2-share-d128": {"cascade_steps": 2},
    "c2-sep-d128": {"heads": "separate", "cascade_steps": 2},
    "c2-sep-d2048": {"heads": "separate", "cascade_steps": 2, "reid_dim": 2048},
}
# fine-tuning and pre-training
OBJECTIVES = {
    "object": ObjectiveConfig(pathway="object", samples_per_image=24, queue_size=6, logit_scale=3.0),
    "query": ObjectiveConfig(
        pathway="query", num_pairs=8, samples_per_pair=16, reid_loss="contrastive", queue_size=9, logit_scale=10.0
    ),
}


def build(name: str) -> SPNet:
    network = make_network(**({"location_dim": 128, "reid_dim": 128} | TABLE_7[name]))
    network.config = replace(network.config, inference=InferenceConfig(score_threshold=0.0, max_detections=20))
    return network


def idle(name: str, pathway: str) -> tuple[str, ...]:
    """Beginnings of the names of parameters that a path has no use for."""
    if pathway == "query":
        return ("bridges.",)  # x_q is not predicted
    return ("locations.",) if name == "c0-sep-d128" else ()  # no query to locate, no cascade either


def train(network: SPNet, objective: SPNetLoss, batch: SceneBatch) -> Losses:
    network.zero_grad()
    losses: Losses = objective(network, batch)
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    return losses


@pytest.mark.parametrize("pathway", OBJECTIVES)
@pytest.mark.parametrize("name", TABLE_7)
def test_training_reaches_every_parameter_of_the_path(name: str, pathway: str) -> None:
    network, batch = build(name), make_batch()
    objective = SPNetLoss(OBJECTIVES[pathway], network, identities=2)
    for _ in range(2):  # the first finds the memory empty
        losses = train(network, objective, batch)
    steps = network.config.cascade_steps
    expected = {
        "anchor_class",
        "reid",
        "box_0",
        *(f"{kind}_{n}" for kind in ("box", "class") for n in range(1, steps + 1)),
    }
    assert set(losses) == expected
    assert all(losses[key] > 0 for key in ("anchor_class", "reid", "box_0"))
    silent = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert silent == {key for key, _ in network.named_parameters() if key.startswith(idle(name, pathway))}
    for key, parameter in network.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), key
            later = int(key.split(".")[1]) > 0 if key.startswith(("boxes.", "bridges.", "locations.")) else False
            # a bias before BatchNorm changes nothing; a later step may have found nothing to learn
            assert later or ".project_" in key or parameter.grad.any(), key


@pytest.mark.parametrize("name", TABLE_7)
@torch.no_grad()
def test_inference_finds_along_both_paths(name: str) -> None:
    network, batch = build(name).eval(), make_batch()
    features = network.features(batch.images, batch.sizes)
    queries = network.location_embed(1, features, batch.targets.boxes, batch.targets.scene)
    assert queries.shape == (5, 128)
    for found in (detect_all(network, features), detect_queries(network, features, queries)):
        assert found.scene.unique().tolist() == [0, 1, 2]
        assert found.embeddings.shape == (len(found.boxes), network.config.reid_dim)
        assert torch.isfinite(found.embeddings).all()
        assert torch.isfinite(found.boxes).all()
    assert found.query.unique().tolist() == [0, 1, 2, 3, 4]


BATCHES = {
    "no box": [],
    "one box": ROWS[:1],
    "a box in each of two scenes": [ROWS[0], ROWS[2]],
    "a person twice in a scene": [*ROWS, (2, (60, 10, 90, 50), 102, -1)],
    "strangers only": [(scene, box, person, -1) for scene, box, person, _ in ROWS],
    "a person alone, twice in a scene": [(0, (5, 6, 30, 60), 1, 0), (0, (50, 6, 80, 60), 1, 0)],
    "large person ids": [(scene, box, person + 2**53, identity) for scene, box, person, identity in ROWS],
    "the same box twice": [*ROWS[:1], (0, (5, 6, 30, 60), 999, -1), *ROWS[1:]],
}


@pytest.mark.parametrize("logits", ["fixed", "batch"])
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("pathway", OBJECTIVES)
@pytest.mark.parametrize("name", ["c0-share-d128", "c2-sep-d128"])
def test_odd_batches_train(name: str, pathway: str, rows: list[tuple[Any, ...]], logits: str) -> None:
    torch.manual_seed(0)
    changes = TABLE_7[name] | {"logit_norm": logits}
    network, batch = make_network(**changes), make_batch(rows)
    objective = SPNetLoss(OBJECTIVES[pathway], network, identities=2)
    for _ in range(2):
        losses = train(network, objective, batch)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert all(torch.isfinite(value).all() for value in objective.memory.state_dict().values())
    if not rows:
        assert losses["reid"] == losses["box_0"] == 0
        # without a pair there is nothing to tell apart; object-centric, all anchors are background
        assert (losses["anchor_class"] > 0) == (pathway == "object")
