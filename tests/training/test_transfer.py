"""From pre-training to fine-tuning: every rule of docs/method.md, "Training", key by key."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from miniature import BACKBONE, make_config, make_network
from spnet.config.schema import BackboneConfig, PathwayName, RunConfig, WeightsConfig
from spnet.errors import UserError
from spnet.models.checkpoints import Weights, save_weights
from spnet.models.spnet import SPNet
from spnet.training.transfer import build_network, transfer

State = dict[str, Tensor]
LAST_STAGE = "pooling.last_stage."
STEP = {kind: re.compile(rf"^{kind}\.(\d+)\.") for kind in ("bridges", "logits", "boxes", "locations")}


def pretrained(pathway: PathwayName, **changes: Any) -> Weights:
    """Weights that differ from a fresh network in every tensor that is not a constant."""
    network = make_network(1, **changes)
    return Weights(dict(network.state_dict()), network.config, pathway)


def move(weights: Weights, options: WeightsConfig | None = None, **changes: Any) -> tuple[State, State, State, str]:
    """The source's tensors, the target's before and after, and the line of counts."""
    network = SPNet(make_config(**changes))
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    line = transfer(network, weights, options or WeightsConfig("runs/pre"))
    return weights.state, fresh, dict(network.state_dict()), line


def same(first: State, second: State, names: list[str]) -> bool:
    assert names
    return all(torch.equal(first[name], second[name]) for name in names)


def starting(state: State, *prefixes: str) -> list[str]:
    return [name for name in state if name.startswith(prefixes)]


def test_object_to_object_takes_everything() -> None:
    source, _, after, line = move(pretrained("object"))
    assert same(after, source, list(after))
    assert line == f"weights runs/pre: {len(after)} of {len(after)} tensors loaded, 0 as made"


def test_the_bridge_stays_fresh_after_query_centric_pre_training() -> None:
    source, fresh, after, line = move(pretrained("query"))
    bridge = starting(after, "bridges.")
    assert source["bridges.0.weight"].abs().sum() > 0
    assert same(after, fresh, bridge)
    assert after["bridges.0.weight"].abs().sum() == 0
    assert same(after, source, [name for name in after if name not in bridge])
    assert line.endswith(f"{len(bridge)} as made")


def test_shared_to_separate_copies_the_last_stage_twice_and_leaves_the_projections() -> None:
    source, fresh, after, line = move(pretrained("object"), heads="separate", reid_dim=12)
    for place in ("reid.", "locations.0."):
        copies = starting(after, place + LAST_STAGE)
        assert all(torch.equal(after[name], source[name.replace(place, "reid.", 1)]) for name in copies)
        assert any(not torch.equal(after[name], fresh[name]) for name in copies)
    projections = starting(after, "reid.project", "locations.0.project")
    assert same(after, fresh, projections)
    rest = [name for name in after if not name.startswith(("reid.", "locations."))]
    assert same(after, source, rest)
    assert line.endswith(f"{len(projections)} as made")


def test_the_projections_stay_fresh_even_where_they_would_fit() -> None:
    _, fresh, after, _ = move(pretrained("object"), heads="separate")
    projections = starting(after, "reid.project", "locations.0.project")
    learnt = [name for name in projections if name.endswith("weight")]
    assert same(after, fresh, projections)
    assert len(learnt) == 3


def test_pt_leaves_the_later_steps_fresh() -> None:
    source, fresh, after, _ = move(pretrained("object"), heads="separate", cascade_steps=2, reid_dim=12)
    later = [name for name in after if re.match(r"(bridges|logits|boxes)\.[12]\.|locations\.1\.", name)]
    assert same(after, fresh, later)
    assert same(after, source, starting(after, "bridges.0.", "boxes.0.", "backbone.", "fpn.", "anchors."))


@pytest.mark.parametrize("pathway", ["query", "object"])
@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_pt_rep_copies_step_0_into_the_later_steps(pathway: PathwayName, heads: str) -> None:
    source = pretrained(pathway, logit_norm="batch")
    source.state["logits.0.norm.running_mean"] += 3  # BatchNorm logits have something to copy
    options = WeightsConfig("runs/pre", replicate=True)
    _, fresh, after, _ = move(source, options, heads=heads, cascade_steps=2, logit_norm="batch")
    assert after["logits.2.norm.running_mean"].item() == 3
    for step in (1, 2):
        for kind in ("logits", "boxes"):
            names = starting(after, f"{kind}.{step}.")
            assert names
            assert all(torch.equal(after[n], source.state[n.replace(f".{step}.", ".0.", 1)]) for n in names)
    if pathway == "object":
        assert torch.equal(after["bridges.2.weight"], source.state["bridges.0.weight"])
    else:
        assert same(after, fresh, starting(after, "bridges."))
    if heads == "separate":
        for name in starting(after, f"locations.1.{LAST_STAGE}"):
            assert torch.equal(after[name], source.state[name.replace("locations.1.", "reid.", 1)])
        assert same(after, fresh, starting(after, "locations.1.project"))


def test_pt_rep_of_separate_weights_copies_the_location_head_entire() -> None:
    source = pretrained("object", heads="separate")
    options = WeightsConfig("runs/pre", replicate=True)
    _, _, after, _ = move(source, options, heads="separate", cascade_steps=2)
    names = starting(after, "locations.1.")
    assert any("project" in name for name in names)
    assert all(torch.equal(after[n], source.state[n.replace("locations.1.", "locations.0.", 1)]) for n in names)


def test_steps_that_were_trained_are_not_overwritten_by_pt_rep() -> None:
    source, _, after, _ = move(
        pretrained("object", cascade_steps=2), WeightsConfig("runs/pre", replicate=True), cascade_steps=2
    )
    assert same(after, source, list(after))
    assert not torch.equal(source["boxes.1.deltas.weight"], source["boxes.0.deltas.weight"])


def test_a_larger_cascade_takes_the_steps_there_are() -> None:
    source, fresh, after, _ = move(pretrained("object", cascade_steps=1), cascade_steps=2)
    assert same(after, source, starting(after, "boxes.0.", "boxes.1.", "bridges.1."))
    assert same(after, fresh, starting(after, "boxes.2.", "bridges.2."))


WIDER = replace(BACKBONE, model_kwargs={"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 32)})
DEEPER = replace(BACKBONE, model_kwargs={"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 24)})


@pytest.mark.parametrize(("backbone", "problem"), [(WIDER, "of another shape"), (DEEPER, "missing")])
def test_another_backbone_is_refused_by_name(backbone: BackboneConfig, problem: str) -> None:
    with pytest.raises(UserError, match=rf"'runs/pre' do not fit: \d+ keys {problem}: backbone\.net\.") as raised:
        move(pretrained("object"), backbone=backbone)
    assert "--weights.partial true" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_smaller_cascade_is_refused() -> None:
    with pytest.raises(UserError, match=r"keys unknown: bridges\.1\."):
        move(pretrained("object", cascade_steps=1))


def test_part_of_a_backbone_by_explicit_option_with_counts() -> None:
    options = WeightsConfig("runs/pre", partial=True)
    source, fresh, after, line = move(pretrained("object"), options, backbone=WIDER)
    counts = re.match(
        r"weights runs/pre: (\d+) of (\d+) tensors loaded, (\d+) as made; \d+ keys of another shape", line
    )
    assert counts is not None
    loaded, total, made = map(int, counts.groups())
    assert loaded + made == total == len(after)
    taken = [name for name in after if source[name].shape == fresh[name].shape]
    assert loaded == len(taken)
    assert same(after, source, taken)


def test_the_classifier_is_left_out_in_both_directions() -> None:
    with_classifier = make_network(1, with_classifier=True)
    weights = Weights(dict(with_classifier.state_dict()), with_classifier.config, "object")
    source, _, after, _ = move(weights)
    assert same(after, source, list(after))
    network = SPNet(make_config(), with_classifier=True)
    before = network.state_dict()["backbone.net.head.fc.weight"].clone()
    transfer(network, pretrained("object"), WeightsConfig("runs/pre"))
    assert torch.equal(network.state_dict()["backbone.net.head.fc.weight"], before)


def test_a_run_starts_from_its_source(tmp_path: Path) -> None:
    network = make_network(1)
    save_weights(tmp_path / "weights.safetensors", network, "object")
    config = RunConfig(model=make_config(), weights=WeightsConfig(str(tmp_path)))
    built, line = build_network(config)
    assert same(dict(built.state_dict()), dict(network.state_dict()), list(network.state_dict()))
    assert line.startswith(f"weights {tmp_path}: ")


def test_a_run_without_a_source_is_random_by_its_seed() -> None:
    config = RunConfig(model=make_config())
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        built, line = build_network(config)
        networks.append(built.state_dict())
    assert line == "weights: backbone none, the rest random"
    assert torch.equal(networks[0]["anchors.embed.weight"], networks[1]["anchors.embed.weight"])
    assert not torch.equal(networks[0]["anchors.embed.weight"], networks[2]["anchors.embed.weight"])


def test_the_backbones_own_weights_are_only_loaded_where_something_starts_from_them(tmp_path: Path) -> None:
    """Weights that cannot be fetched show whether they are asked for."""
    save_weights(tmp_path / "weights.safetensors", make_network(1), "object")
    backbone = replace(BACKBONE, weights=str(tmp_path / "none.pth"))
    source = WeightsConfig(str(tmp_path))
    config = RunConfig(model=make_config(backbone=backbone), weights=source)
    built, _ = build_network(config)
    assert built.config.backbone.weights == backbone.weights
    separate = make_config(backbone=backbone, heads="separate", cascade_steps=2)
    build_network(RunConfig(model=separate, weights=replace(source, replicate=True)))
    with pytest.raises(UserError, match=r"none\.pth"):
        build_network(RunConfig(model=separate, weights=source))
    with pytest.raises(UserError, match=r"none\.pth"):
        build_network(replace(config, objective=replace(config.objective, lwf=True)))
