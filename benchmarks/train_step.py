"""What a training step costs, beside its floor: the same tensors through the convolutions alone.

    python benchmarks/train_step.py --preset spnet-s --stage pretrain --pathway query --device cpu --precision 32-true

Prints one JSON line: seconds of a step, of its forward and backward pass, and of the floor, which is backbone, pyramid,
the anchors' convolution, the region heads and the teacher, forward and backward, with the same images and boxes but no
candidates, losses, memories or optimizer; medians of rounds, their ratio, the process's peak memory, and the
arithmetic of the forward pass of network and teacher. Images and boxes are random, weights too; every candidate trains
re-id, as nearly all do once a network has learnt (of the first step's boxes few would).
"""

import argparse
import resource
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from emit import emit
from spnet.config.presets import PRESETS, get_preset
from spnet.config.schema import RunConfig
from spnet.losses.reid import Places
from spnet.models.spnet import SPNet
from spnet.training.cpu import flush_denormals, keep_freed_memory
from spnet.training.objective import SPNetLoss, compile_parts
from spnet.training.optimizer import make_optimizer
from spnet.training.teacher import Teacher
from spnet.training.trainer import precision_of
from spnet.types import SceneBatch, Targets
from timing import median_seconds

BOXES = 3  # of a scene
DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": torch.float32}


def main() -> None:
    """One batch of the preset's size, in memory."""
    options = parse()
    torch.manual_seed(0)
    keep_freed_memory()
    config = configure(options)
    step = Step(config, options.device, options.precision)
    with flush_denormals():
        values = step.measure(options.rounds)
    names = ("preset", "stage", "pathway", "device", "precision", "compile", "grad_checkpointing")
    facts = {name: getattr(options, name) for name in names} | {"threads": torch.get_num_threads()}
    emit("_".join(["train_step", options.preset, options.stage, options.pathway, options.precision]), facts | values)


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="spnet-s")
    parser.add_argument("--stage", choices=("pretrain", "finetune"), default="pretrain")
    parser.add_argument("--pathway", choices=("query", "object"), default="query")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=DTYPES, default=precision_of("auto"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--grad-checkpointing", action="store_true")
    return parser.parse_args()


def configure(options: argparse.Namespace) -> RunConfig:
    """Take the preset, with random weights and all candidates for re-id."""
    config = get_preset(options.preset, options.stage, options.pathway)
    backbone = replace(config.model.backbone, weights="none")
    objective = replace(config.objective, reid_iou=0.0)
    trainer = replace(config.trainer, compile=options.compile, grad_checkpointing=options.grad_checkpointing)
    return replace(config, model=replace(config.model, backbone=backbone), objective=objective, trainer=trainer)


def make_batch(config: RunConfig) -> SceneBatch:
    """Random square images, views of one scene side by side, with the same people in each."""
    side, scenes = config.data.augmentation.crop_size, config.data.batch_size
    corners = torch.rand(scenes * BOXES, 2) * 0.6 * side
    boxes = torch.cat([corners, corners + torch.tensor([0.15, 0.4]) * side], 1)
    scene = torch.arange(scenes).repeat_interleave(BOXES)
    person = (scene // config.data.augmentation.num_views) * BOXES + torch.arange(BOXES).repeat(scenes)
    targets = Targets(boxes, scene, person, person)
    images = torch.randint(0, 256, (scenes, 3, side, side), dtype=torch.uint8)
    return SceneBatch(images, torch.full((scenes, 2), side), torch.arange(scenes), torch.ones(scenes, 2), targets)


class Step:
    """A training step, and its floor with the boxes that the step embedded."""

    def __init__(self, config: RunConfig, device: str, precision: str) -> None:
        self.device, self.precision = torch.device(device), precision
        self.batch = make_batch(config).to(self.device)
        self.network = SPNet(config.model).to(self.device).train()
        identities = int(self.batch.targets.identity.max()) + 1
        self.objective = SPNetLoss(config.objective, self.network, identities).to(self.device).train()
        self.network.set_grad_checkpointing(config.trainer.grad_checkpointing)
        if config.trainer.compile:
            compile_parts(self.network, self.objective)
        self.optimizer = make_optimizer(self.network, config.optimizer, fused=self.device.type == "cuda")
        self.regions: list[tuple[Any, Places]] = []  # heads, and the boxes they embedded

    def measure(self, rounds: int) -> dict[str, float]:
        """Seconds, their ratio, gigabytes and arithmetic."""
        self.record_regions()
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            self.floor_forward()
        forward = median_seconds(self.forward, rounds, self.device)
        step = median_seconds(self.step, rounds, self.device)
        floor = median_seconds(lambda: self.floor_forward().backward(), rounds, self.device)
        return {
            "step_seconds": round(step, 4),
            "forward_seconds": round(forward, 4),
            "backward_seconds": round(step - forward, 4),
            "floor_seconds": round(floor, 4),
            "ratio": round(step / floor, 3),
            "peak_gb": round(self.peak_gb(), 2),
            "forward_tflop": round(flops.get_total_flops() / 1e12, 3),
            "boxes_embedded": sum(len(places[0]) for _, places in self.regions),
        }

    def record_regions(self) -> None:
        """Run a step once to see which head embeds which boxes."""

        def keep(head: Any, arguments: tuple[Any, ...], output: object) -> None:
            self.regions.append((head, (arguments[1].detach(), arguments[2])))

        heads = [self.network.reid, *self.network.locations]
        hooks = [head.register_forward_hook(keep) for head in heads]
        self.step()
        for hook in hooks:
            hook.remove()

    def forward(self) -> Tensor:
        with torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "32-true"):
            return torch.stack(list(self.objective(self.network, self.batch).values())).sum()

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.forward().backward()
        self.optimizer.step()
        if self.objective.teacher is not None:
            self.objective.teacher.ema_update()

    def floor_forward(self) -> Tensor:
        with torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "32-true"):
            features = self.network.features(self.batch.images, self.batch.sizes)
            parts = [self.network.anchor_table(features).embeddings.float().mean()]
            parts += [head(features, *places).mean() for head, places in self.regions]
            if self.objective.teacher is not None:
                self.teach(self.objective.teacher)
        return torch.stack(parts).sum()

    def teach(self, teacher: Teacher) -> None:
        teacher.embed(teacher.features(self.batch), [p for head, p in self.regions if head is self.network.reid])

    def peak_gb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
