"""The named configurations hold the paper's numbers (supplementary sections 8 and 9, Table 7; docs/method.md)."""

from dataclasses import replace

import pytest

from miniature import make_network
from spnet.config.io import check
from spnet.config.presets import PRESETS, get_preset, list_presets
from spnet.config.schema import Augmentation, BackboneConfig, ModelConfig, PathwayName, RunConfig, Stage
from spnet.errors import UserError
from spnet.models.spnet import SPNet


def test_spnet_s_is_pre_trained_query_centric() -> None:
    run = get_preset("spnet-s", "pretrain")
    assert run.model == ModelConfig(BackboneConfig("convnext_tiny", "imagenet", 0.1), "shared", 0, 128, 128)
    assert (run.model.logit_norm, run.model.logit_sign) == ("fixed", "negative")
    objective = run.objective
    assert objective.pathway == "query"
    assert objective.num_pairs * objective.samples_per_pair == 2048
    assert (objective.reid_loss, objective.queue_size, objective.logit_scale) == ("contrastive", 65536, 10)
    assert objective.ema_decay == 0.9999
    assert (objective.reid_box_source, objective.reid_iou, objective.reid_samples_per_pair) == ("all", 0.7, 16)
    assert not objective.lwf
    assert run.data.unique_id_per_box
    assert run.data.batch_size == 8
    assert run.data.augmentation == Augmentation("rrc_scale", 512, (0.5, 2.0), num_views=2)
    optimizer = run.optimizer
    assert (optimizer.epochs, optimizer.lr, optimizer.weight_decay) == (30, 1e-4, 1e-3)
    assert (optimizer.backbone_lr, optimizer.backbone_weight_decay) == (1e-5, 0)
    assert (optimizer.warmup_steps, optimizer.grad_clip_norm, optimizer.freeze_backbone) == (1000, 10, False)


def test_pre_training_object_centric_optimizes_as_many_anchors() -> None:
    run = get_preset("spnet-s", "pretrain", "object")
    assert run.objective.pathway == "object"
    assert run.objective.samples_per_image * run.data.batch_size == 2048
    assert run.data == get_preset("spnet-s", "pretrain").data
    assert run.optimizer == get_preset("spnet-s", "pretrain").optimizer


def test_spnet_s_is_fine_tuned_object_centric() -> None:
    run = get_preset("spnet-s", "finetune")
    assert run.model == get_preset("spnet-s", "pretrain").model
    objective = run.objective
    assert (objective.pathway, objective.samples_per_image) == ("object", 128)
    assert (objective.reid_loss, objective.queue_size, objective.logit_scale, objective.oim_momentum) == (
        "oim",
        5000,
        30,
        0.5,
    )
    assert not run.data.unique_id_per_box
    assert run.data.augmentation == Augmentation("rrc2", 512, min_size=900, max_size=1500, num_views=1)
    optimizer = run.optimizer
    assert (optimizer.epochs, optimizer.lr, optimizer.weight_decay) == (30, 1e-4, 5e-4)
    assert (optimizer.backbone_lr, optimizer.backbone_weight_decay) == (None, None)  # as the rest: 1e-4, 5e-4
    assert run.data.batch_size == 8


def test_query_centric_fine_tuning_needs_two_views() -> None:
    run = get_preset("spnet-s", "finetune", "query")
    assert run.objective.pathway == "query"
    assert run.data.augmentation == Augmentation("rrc2", 512, num_views=2)


def test_spnet_l_is_pre_trained_like_spnet_s() -> None:
    run = get_preset("spnet-l", "pretrain")
    assert run.model == ModelConfig(BackboneConfig("convnext_base", "imagenet", 0.5), "shared", 0, 128, 128)
    small = get_preset("spnet-s", "pretrain")
    assert (run.objective, run.data, run.optimizer) == (small.objective, small.data, small.optimizer)


def test_spnet_l_is_fine_tuned_separate_with_two_cascade_steps() -> None:
    run = get_preset("spnet-l", "finetune")
    assert run.model == ModelConfig(BackboneConfig("convnext_base", "imagenet", 0.5), "separate", 2, 128, 2048)
    assert run.weights.replicate  # PT-Rep, the better for c2-sep-d2048 (section 9.2)
    assert run.data.augmentation == Augmentation("rrc2", 1024, min_size=900, max_size=1500, num_views=1)
    small = get_preset("spnet-s", "finetune")
    assert (run.objective, run.optimizer) == (small.objective, small.optimizer)


def test_inference_is_the_papers() -> None:
    for name in ("spnet-s", "spnet-l"):
        inference = get_preset(name, "finetune").model.inference
        assert (inference.min_size, inference.max_size) == (900, 1500)
        assert (inference.object_pre_nms_topk, inference.query_pre_nms_topk, inference.max_detections) == (
            1000,
            100,
            300,
        )
        assert (inference.score_threshold, inference.nms_iou) == (0.5, 0.5)


def test_spnet_tiny_is_a_few_million_parameters_without_a_download() -> None:
    run = get_preset("spnet-tiny", "finetune")
    assert run.model.backbone.weights == "none"
    assert run.model == get_preset("spnet-tiny", "pretrain").model
    assert 0.5e6 < sum(parameter.numel() for parameter in SPNet(run.model).parameters()) < 10e6
    assert run.data.augmentation.crop_size < 512


def test_spnet_lite_lies_between_tiny_and_s() -> None:
    run = get_preset("spnet-lite", "finetune")
    assert run.model == get_preset("spnet-lite", "pretrain").model
    assert run.model.backbone.weights == "timm"  # by name
    model = replace(run.model, backbone=replace(run.model.backbone, weights="none"))
    parameters = sum(parameter.numel() for parameter in SPNet(model).parameters())
    assert 5e6 < parameters < 10e6


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("pathway", ["query", "object"])
def test_every_configuration_is_consistent(name: str, stage: Stage, pathway: PathwayName) -> None:
    run: RunConfig = get_preset(name, stage, pathway)
    check(run)
    assert run.objective.pathway == pathway
    assert run.data.batch_size % run.data.augmentation.num_views == 0
    assert (run.objective.reid_loss == "contrastive") == run.data.unique_id_per_box == (stage == "pretrain")
    assert run.data.augmentation.num_views == (2 if stage == "pretrain" or pathway == "query" else 1)


def test_an_unknown_name_gets_the_choices() -> None:
    with pytest.raises(UserError, match="'spnet-m' is unknown; choose spnet-s, spnet-l, spnet-lite, spnet-tiny"):
        get_preset("spnet-m", "finetune")


def test_the_defaults_are_spnet_s() -> None:
    assert get_preset("spnet-s", "finetune") == RunConfig()
    assert make_network().config != ModelConfig()


def test_the_list_of_presets_is_what_get_preset_takes() -> None:
    assert list_presets() == ["spnet-s", "spnet-l", "spnet-lite", "spnet-tiny"]
    for name in list_presets():
        assert get_preset(name, "finetune").stage == "finetune"
