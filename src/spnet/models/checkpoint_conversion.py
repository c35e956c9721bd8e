"""Reads checkpoints of the authors' release: their names into ours, and the architecture from their shapes."""

import re
from collections.abc import Callable

from spnet.config.schema import BackboneConfig, ModelConfig
from spnet.errors import UserError
from spnet.models.pretrained import State, torchvision_to_timm

# stem width and number of blocks in the third stage -> backbone
_BACKBONES = {
    ("convnext", 96, 9): "convnext_tiny",
    ("convnext", 96, 27): "convnext_small",
    ("convnext", 128, 27): "convnext_base",
    ("convnext", 192, 27): "convnext_large",
    ("swin", 96, 6): "swin_tiny_patch4_window7_224",
    ("swin", 96, 18): "swin_small_patch4_window7_224",
    ("swin", 128, 18): "swin_base_patch4_window7_224",
    ("resnet", 64, 6): "resnet50",
}
_DROP_PATH = {"convnext_tiny": 0.1, "convnext_small": 0.4, "convnext_base": 0.5, "convnext_large": 0.5, "resnet50": 0.0}
_DROP_PATH |= {
    "swin_tiny_patch4_window7_224": 0.2,
    "swin_small_patch4_window7_224": 0.3,
    "swin_base_patch4_window7_224": 0.5,
}

_Replacement = Callable[[re.Match[str]], str]
_MODULES: tuple[tuple[str, _Replacement], ...] = (
    (r"^head\.feature_head\.emb_pred\.", lambda m: "anchors.embed."),
    (r"^head\.bridge_layer\.(\d+)\.linear\.", lambda m: f"bridges.{m[1]}."),
    (r"^head\.regression_head\.(\d+)\.tfm\.", lambda m: f"boxes.{m[1]}.mlp."),
    (r"^head\.regression_head\.(\d+)\.head\.", lambda m: f"boxes.{m[1]}.deltas."),
    (r"^head\.anchor_classification_head\.logits\.norm\.", lambda m: "anchor_logit.norm."),
    (r"^head\.classification_head\.(\d+)\.head\.norm\.", lambda m: f"logits.{m[1]}.norm."),
    (r"^head\.(moco_)?align_emb_head\.emb_head\.head\.", lambda m: f"{_owner(m)}reid.pooling.last_stage.stage.0."),
    (r"^head\.(moco_)?align_emb_head\.nae_head\.projectors\.feat_res4\.", lambda m: f"{_owner(m)}reid.project_input."),
    (r"^head\.(moco_)?align_emb_head\.nae_head\.projectors\.feat_res5\.", lambda m: f"{_owner(m)}reid.project_output."),
    (
        r"^head\.align_emb_loc_head\.(\d+)\.emb_head\.head\.",
        lambda m: f"locations.{int(m[1]) - 1}.pooling.last_stage.stage.0.",
    ),
    (r"^head\.align_emb_loc_head\.(\d+)\.head\.", lambda m: f"locations.{int(m[1]) - 1}.project."),
    (r"^(moco_)?backbone\.fpn\.", lambda m: f"{_owner(m)}fpn.net."),
    (r"^(moco_)?backbone\.body\.", lambda m: f"{_owner(m)}backbone.net."),
    (r"^(moco_)?backbone\.classifier\.", lambda m: f"{_owner(m)}backbone.net.classifier."),
    (r"^lwf_backbone\.(?:body\.)?(?!fpn)", lambda m: "initial_backbone.net."),
    (r"^head\.reid_loss\.lut$", lambda m: "memory.table"),
    (r"^head\.reid_loss\.cq$", lambda m: "memory.queue"),
    (r"^head\.reid_loss\.(?:train_reid_loss\.)?emb_cq$", lambda m: "memory.embeddings"),
    (r"^head\.reid_loss\.(?:train_reid_loss\.)?label_cq$", lambda m: "memory.persons"),
)
# state without a counterpart: a second memory for validation, ages that nothing reads
_UNUSED = r"^head\.reid_loss\..*(test_reid_loss|age_cq)|^lwf_backbone\.fpn\."
_BACKBONE_PLACES = r"^((?:teacher\.)?backbone\.net|initial_backbone\.net)\.(.*)$"
_STAGE_PLACES = r"^((?:teacher\.)?reid|locations\.\d+)\.pooling\.last_stage\.stage\.0\.(.*)$"


GALLERY_FILTER = "head.gfn."  # of an earlier paper, off in every configuration of this one


def _owner(match: re.Match[str]) -> str:
    return "teacher." if match[1] else ""


def released_to_ours(state: State, origin: str = "checkpoint") -> State:
    """Parameters and buffers under the released names -> under ours.

    Network parameters carry our network's names; `teacher.`, `initial_backbone.` and `memory.` are the objective's.

    Raises:
        UserError: names that are not of this release, listed; names `origin`.
    """
    state = {name.removeprefix("model."): value for name, value in state.items()}
    state = {name: value for name, value in state.items() if not name.startswith(GALLERY_FILTER)}
    names = {name: _rename_module(name) for name in state if not re.search(_UNUSED, name)}
    if unknown := [name for name, new in names.items() if new is None]:
        raise UserError(f"{origin!r} is no released SPNet checkpoint: {len(unknown)} unknown keys, e.g. {unknown[:3]}")
    return _rename_backbones({new: state[name] for name, new in names.items() if new is not None})


def _rename_module(name: str) -> str | None:
    for pattern, replacement in _MODULES:
        new, count = re.subn(pattern, replacement, name)
        if count:
            return new
    return None


def _rename_backbones(state: State) -> State:
    """Torchvision's names inside backbones and last stages -> timm's."""
    numbered = any(
        re.match(r"^backbone\.net\.0\.", name) for name in state
    )  # ConvNeXt, Swin: features.<n>; ResNet: names
    groups: dict[tuple[str, str], State] = {}
    for name, value in state.items():
        if match := re.match(_BACKBONE_PLACES, name):
            inner = f"features.{match[2]}" if match[2][0].isdigit() else match[2]
            groups.setdefault((f"{match[1]}.", ""), {})[inner] = value
        elif (match := re.match(_STAGE_PLACES, name)) and numbered:
            number, rest = match[2].split(".", 1)
            prefix = f"{match[1]}.pooling.last_stage.stage.0."
            # the copy holds features.6 (downsampling) and features.7 (blocks): timm's last stage
            groups.setdefault((prefix, "last"), {})[f"features.{6 + int(number)}.{rest}"] = value
        else:
            groups.setdefault(("", ""), {})[name] = value
    result: State = {}
    for (prefix, part), inner_state in groups.items():
        translated = inner_state if prefix == "" else torchvision_to_timm(inner_state)
        for name, value in translated.items():
            short = re.sub(r"^(stages|layers)\.3\.", "", name) if part else name
            result[prefix + short] = value
    return result


def infer_config(state: State, logit_sign: str = "negative", origin: str = "checkpoint") -> ModelConfig:
    """The architecture of a released checkpoint, from names and shapes (released names).

    Raises:
        UserError: no such checkpoint, or a backbone this release does not have; names `origin`.
    """
    state = {name.removeprefix("model."): value for name, value in state.items()}
    bridge = "head.bridge_layer.0.linear.weight"
    projections = [f"head.align_emb_head.nae_head.projectors.feat_res{level}.0.weight" for level in (4, 5)]
    if missing := [name for name in (bridge, *projections) if name not in state]:
        raise UserError(f"{origin!r} is no released SPNet checkpoint: it has no {missing[0]!r}")
    steps = _count(state, r"^head\.bridge_layer\.(\d+)\.")
    backbone = _infer_backbone(state, origin)
    return ModelConfig(
        backbone=BackboneConfig(backbone, weights="none", drop_path=_DROP_PATH[backbone]),
        heads="separate" if any(name.startswith("head.align_emb_loc_head.") for name in state) else "shared",
        cascade_steps=steps - 1,
        location_dim=state[bridge].shape[0],
        reid_dim=sum(state[name].shape[0] for name in projections),
        logit_norm="batch" if any(name.startswith("head.anchor_classification_head.") for name in state) else "fixed",
        logit_sign="positive" if logit_sign == "positive" else "negative",
    )


def _infer_backbone(state: State, origin: str) -> str:
    if "backbone.body.conv1.weight" in state:
        family, stem, stage = "resnet", "backbone.body.conv1.weight", r"^backbone\.body\.layer3\.(\d+)\."
    else:
        family = "swin" if any("relative_position_bias_table" in name for name in state) else "convnext"
        stem, stage = "backbone.body.0.0.weight", r"^backbone\.body\.5\.(\d+)\."
    key = (family, state[stem].shape[0] if stem in state else 0, _count(state, stage))
    if key not in _BACKBONES:
        raise UserError(
            f"{origin!r} has an unknown backbone (family, width, blocks of stage 3) = {key}; "
            f"known: {sorted(_BACKBONES.values())}"
        )
    return _BACKBONES[key]


def _count(state: State, pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
