"""Released checkpoints: their names and shapes give our architecture, and each of its tensors exactly one of theirs."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spnet.config.schema import ModelConfig
from spnet.errors import UserError
from spnet.models.checkpoint_conversion import infer_config, released_to_ours
from spnet.models.spnet import SPNet

KEYS = json.loads((Path(__file__).parents[1] / "parity" / "released_state_dict_keys.json").read_text())

EXPECTED = {
    "spnet_s_pretrain_qc": ("convnext_tiny", 0.1, "shared", 0, 128, 128),
    "spnet_s_finetune_oc": ("convnext_tiny", 0.1, "shared", 0, 128, 128),
    "spnet_l_finetune_oc": ("convnext_base", 0.5, "separate", 2, 128, 2048),
    "resnet50_cascade": ("resnet50", 0.0, "separate", 2, 128, 2048),
}


def read(name: str) -> dict[str, Tensor]:
    """The checkpoint's names with tensors that have a shape alone."""
    return {key: torch.empty(shape, device="meta") for key, shape in KEYS[name].items()}


def test_there_are_the_four_configurations() -> None:
    assert set(KEYS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_architecture_follows_from_names_and_shapes(name: str) -> None:
    config = infer_config(read(name))
    backbone = config.backbone
    assert backbone.weights == "none"
    found = (
        backbone.name,
        backbone.drop_path,
        config.heads,
        config.cascade_steps,
        config.location_dim,
        config.reid_dim,
    )
    assert found == EXPECTED[name]
    assert (config.logit_norm, config.logit_sign) == ("fixed", "negative")


@pytest.mark.parametrize("name", EXPECTED)
def test_every_tensor_of_ours_gets_exactly_one_of_theirs(name: str) -> None:
    state = read(name)
    with torch.device("meta"):
        network = SPNet(infer_config(state))
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    numbered = {key: torch.full((1,), float(number)) for number, key in enumerate(state)}
    shapes = {key: tuple(value.shape) for key, value in released_to_ours(state).items()}
    of_network = {key: shape for key, shape in shapes.items() if not key.startswith(("teacher.", "memory."))}
    assert of_network == wanted
    sources = [value.item() for value in released_to_ours(numbered).values()]
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_left_over_but_what_nobody_needs(name: str) -> None:
    numbered = {key: torch.full((1,), float(number)) for number, key in enumerate(KEYS[name])}
    used = {value.item() for value in released_to_ours(numbered).values()}
    left = [key for number, key in enumerate(KEYS[name]) if number not in used]
    assert all(re.search(r"test_reid_loss|age_cq|num_batches_tracked", key) for key in left), left


def test_teacher_and_memory_are_the_objectives() -> None:
    state = released_to_ours(read("spnet_s_pretrain_qc"))
    with torch.device("meta"):
        network = SPNet(infer_config(read("spnet_s_pretrain_qc")))
    student = {key: value.shape for key, value in network.state_dict().items()}
    teacher = {key.removeprefix("teacher."): value.shape for key, value in state.items() if key.startswith("teacher.")}
    assert teacher == {key: s for key, s in student.items() if key.startswith(("backbone.", "fpn.", "reid."))}
    assert {key for key in state if key.startswith("memory.")} == {"memory.embeddings", "memory.persons"}
    memory = released_to_ours(read("spnet_l_finetune_oc"))
    assert memory["memory.table"].shape == (483, 2048)
    assert memory["memory.queue"].shape == (500, 2048)


def test_what_is_no_released_checkpoint_is_the_users_mistake() -> None:
    state = read("spnet_s_finetune_oc")
    with pytest.raises(UserError, match=r"1 unknown keys.*optimizer\.step"):
        released_to_ours(state | {"optimizer.step": torch.zeros(1)})
    with pytest.raises(UserError, match=r"bridge_layer"):
        infer_config({key: value for key, value in state.items() if "bridge_layer" not in key})
    with pytest.raises(UserError, match=r"feat_res5"):
        infer_config({key: value for key, value in state.items() if "feat_res5" not in key})
    with pytest.raises(UserError, match=r"unknown backbone .*'convnext', 96, 8.*convnext_tiny"):
        infer_config({key: value for key, value in state.items() if "body.5.8." not in key})


@pytest.mark.parametrize(
    ("backbone", "family", "width", "blocks"),
    [
        ("convnext_small", "convnext", 96, 27),
        ("convnext_large", "convnext", 192, 27),
        ("swin_tiny_patch4_window7_224", "swin", 96, 6),
        ("swin_base_patch4_window7_224", "swin", 128, 18),
    ],
)
def test_other_backbones_of_the_paper_are_recognised(backbone: str, family: str, width: int, blocks: int) -> None:
    state = {key: value for key, value in read("spnet_s_finetune_oc").items() if ".backbone.body." not in key}
    state["model.backbone.body.0.0.weight"] = torch.empty(width, 3, 4, 4, device="meta")
    for block in range(blocks):
        inner = "attn.relative_position_bias_table" if family == "swin" else "layer_scale"
        state[f"model.backbone.body.5.{block}.{inner}"] = torch.empty(1, device="meta")
    config: ModelConfig = infer_config(state)
    assert config.backbone.name == backbone
