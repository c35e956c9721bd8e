"""The named configurations hold the paper's numbers (supplementary sections 8 and 9, Table 7; SPEC sections 2, 3)."""

import pytest

from miniature import make_network
from spnet.config import ModelConfig, TrunkConfig
from spnet.data.augment import Augmentation
from spnet.errors import UserError
from spnet.experiments.base import CONFIGURATIONS, named
from spnet.model.network import SPNet
from spnet.training.config import RunConfig, check_run_config


def test_spnet_s_is_pre_trained_query_centric() -> None:
    run = named("spnet-s", "pretrain")
    assert run.model == ModelConfig(TrunkConfig("convnext_tiny", "imagenet", 0.1), "shared", 0, 128, 128)
    assert (run.model.logits, run.model.logit_sign) == ("fixed", "negative")
    objective = run.objective
    assert objective.path == "query"
    assert objective.pairs * objective.pair_samples == 2048
    assert (objective.reid, objective.queue_size, objective.scalar) == ("queue", 65536, 10)
    assert objective.teacher_momentum == 0.9999
    assert (objective.reid_boxes, objective.reid_iou, objective.reid_pair_samples) == ("all", 0.7, 16)
    assert not objective.forgetting
    assert run.data.boxes_as_persons
    assert run.data.batch_size == 8
    assert run.data.augmentation == Augmentation("rrc_scale", 512, (0.5, 2.0), views=2)
    optimiser = run.optimiser
    assert (optimiser.epochs, optimiser.learning_rate, optimiser.weight_decay) == (30, 1e-4, 1e-3)
    assert (optimiser.trunk_learning_rate, optimiser.trunk_weight_decay) == (1e-5, 0)
    assert (optimiser.warmup_steps, optimiser.clip_norm, optimiser.freeze_trunk) == (1000, 10, False)


def test_pre_training_object_centric_optimises_as_many_anchors() -> None:
    run = named("spnet-s", "pretrain", "object")
    assert run.objective.path == "object"
    assert run.objective.scene_samples * run.data.batch_size == 2048
    assert run.data == named("spnet-s", "pretrain").data
    assert run.optimiser == named("spnet-s", "pretrain").optimiser


def test_spnet_s_is_fine_tuned_object_centric() -> None:
    run = named("spnet-s", "finetune")
    assert run.model == named("spnet-s", "pretrain").model
    objective = run.objective
    assert (objective.path, objective.scene_samples) == ("object", 128)
    assert (objective.reid, objective.queue_size, objective.scalar, objective.momentum) == ("oim", 5000, 30, 0.5)
    assert not run.data.boxes_as_persons
    assert run.data.augmentation == Augmentation("rrc2", 512, window=(900, 1500), views=1)
    optimiser = run.optimiser
    assert (optimiser.epochs, optimiser.learning_rate, optimiser.weight_decay) == (30, 1e-4, 5e-4)
    assert (optimiser.trunk_learning_rate, optimiser.trunk_weight_decay) == (None, None)  # as the rest: 1e-4, 5e-4
    assert run.data.batch_size == 8


def test_query_centric_fine_tuning_needs_two_views() -> None:
    run = named("spnet-s", "finetune", "query")
    assert run.objective.path == "query"
    assert run.data.augmentation == Augmentation("rrc2", 512, views=2)


def test_spnet_l_is_pre_trained_like_spnet_s() -> None:
    run = named("spnet-l", "pretrain")
    assert run.model == ModelConfig(TrunkConfig("convnext_base", "imagenet", 0.5), "shared", 0, 128, 128)
    small = named("spnet-s", "pretrain")
    assert (run.objective, run.data, run.optimiser) == (small.objective, small.data, small.optimiser)


def test_spnet_l_is_fine_tuned_separate_with_two_cascade_steps() -> None:
    run = named("spnet-l", "finetune")
    assert run.model == ModelConfig(TrunkConfig("convnext_base", "imagenet", 0.5), "separate", 2, 128, 2048)
    assert run.weights.replicate  # PT-Rep, the better for c2-sep-d2048 (section 9.2)
    assert run.data.augmentation == Augmentation("rrc2", 1024, window=(900, 1500), views=1)
    small = named("spnet-s", "finetune")
    assert (run.objective, run.optimiser) == (small.objective, small.optimiser)


def test_inference_is_the_papers() -> None:
    for name in ("spnet-s", "spnet-l"):
        inference = named(name, "finetune").model.inference
        assert inference.window == (900, 1500)
        assert (inference.object_anchors, inference.query_anchors, inference.max_detections) == (1000, 100, 300)
        assert (inference.score_threshold, inference.nms_iou) == (0.5, 0.5)


def test_spnet_tiny_is_a_few_million_parameters_without_a_download() -> None:
    run = named("spnet-tiny", "finetune")
    assert run.model.trunk.weights == "none"
    assert run.model == named("spnet-tiny", "pretrain").model
    assert 0.5e6 < sum(parameter.numel() for parameter in SPNet(run.model).parameters()) < 10e6
    assert run.data.augmentation.crop_size < 512


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("path", ["query", "object"])
def test_every_configuration_is_consistent(name: str, stage: str, path: str) -> None:
    run: RunConfig = named(name, stage, path)  # type: ignore[arg-type]
    check_run_config(run)
    assert run.objective.path == path
    assert run.data.batch_size % run.data.augmentation.views == 0
    assert (run.objective.reid == "queue") == run.data.boxes_as_persons == (stage == "pretrain")
    assert run.data.augmentation.views == (2 if stage == "pretrain" or path == "query" else 1)


def test_an_unknown_name_gets_the_choices() -> None:
    with pytest.raises(UserError, match="'spnet-m' is unknown; choose spnet-s, spnet-l, spnet-tiny"):
        named("spnet-m", "finetune")


def test_the_defaults_are_spnet_s() -> None:
    assert named("spnet-s", "finetune") == RunConfig()
    assert make_network().config != ModelConfig()
