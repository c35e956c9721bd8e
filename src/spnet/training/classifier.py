"""A stand-in for the ImageNet classifier at small scale: the backbone itself, trained on rendered street objects.

In the paper every network but "Random Init." starts from an ImageNet classifier (Table 5), and learning without
lwf distils one (Table 7). Where nothing is downloaded they start from, and distil, this one. It has never seen a
person.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from spnet.config.io import to_plain
from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.files import write_bytes
from spnet.models.backbone import Backbone
from spnet.progress import show_progress
from spnet.synthetic.objects import CLASSES, object_images
from spnet.synthetic.scenario import TEST, TRAIN
from spnet.training.trainer import precision_of

NUM_IMAGES, HELD_OUT = 4000, 30 * len(CLASSES)
BATCH_SIZE = 32
LEARNING_RATE, WEIGHT_DECAY = 4e-3, 2e-2
METADATA = "classifier"  # the key in the file


def train_classifier(
    backbone: BackboneConfig, file: Path, seed: int = 0, num_images: int = NUM_IMAGES, epochs: int = 8
) -> float:
    """Train `backbone`, from random weights, to classify rendered street objects; returns its held-out accuracy.

    `file` (.safetensors) is what `classifying` refers to: the backbone with its classifier under timm's names, with
    the settings and the accuracy in its metadata. A file that is there already with the same settings is kept as it is;
    an interrupted training leaves none.

    Args:
        backbone: name, options and stochastic depth; its `weights` do not matter.
        file: what is written.
        seed: of the images, the initial weights and the order.
        num_images: images trained on, of all classes together.
        epochs: passes over them.

    Raises:
        UserError: numbers that are too small, a file of other settings, or no such classifier.
    """
    config = replace(classifying(backbone, file), weights="none")
    if num_images < len(CLASSES) or epochs < 1 or seed < 0:
        least = f"at least {len(CLASSES)} images, 1 epoch and a seed of 0 or more are needed"
        raise UserError(f"classifier of {num_images} images, {epochs} epochs, seed {seed}: {least}")
    settings: dict[str, object] = {"backbone": to_plain(config), "classes": list(CLASSES)}
    settings |= {"seed": seed, "num_images": num_images, "epochs": epochs}
    if file.exists():
        return _read_accuracy(file, settings)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{file}: its folder cannot be made: {error.strerror}") from None
    net, accuracy = _train(config, seed, num_images, epochs)
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    metadata = {METADATA: json.dumps(settings | {"accuracy": accuracy})}  # one entry: equal runs give equal files
    write_bytes(file, save(state, metadata))
    return accuracy


def classifying(backbone: BackboneConfig, file: Path) -> BackboneConfig:
    """Configure a backbone that starts from the classifier in `file`, made by `train_classifier`."""
    return replace(backbone, weights=str(file), model_kwargs={**backbone.model_kwargs, "num_classes": len(CLASSES)})


def _train(config: BackboneConfig, seed: int, num_images: int, epochs: int) -> tuple[nn.Module, float]:
    """Train the timm model; returns it and its accuracy on held-out images."""
    torch.manual_seed(seed)
    backbone = Backbone(config, with_classifier=True)
    net: nn.Module = backbone.net.to(memory_format=torch.channels_last)
    fabric = _fabric()
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model, stepper = fabric.setup(net, optimizer)
    images, labels = _render(TRAIN, num_images, seed)
    held_out, wanted = _render(TEST, HELD_OUT, seed)
    batches = [rows for _ in range(epochs) for rows in torch.randperm(num_images).split(BATCH_SIZE)]
    schedule = OneCycleLR(optimizer, LEARNING_RATE, len(batches))
    for rows in show_progress(batches, "training", len(batches)):
        loss = cross_entropy(_classify(model, backbone, images[rows], fabric), fabric.to_device(labels[rows]))
        stepper.zero_grad()
        fabric.backward(loss)
        stepper.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        found = torch.cat(
            [_classify(model, backbone, part, fabric).argmax(1).cpu() for part in held_out.split(BATCH_SIZE)]
        )
    return net, round((found == wanted).double().mean().item(), 4)


def _fabric() -> L.Fabric:
    """Choose the device and precision that runs train with."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    accelerator = "auto" if torch.cuda.is_available() else "cpu"
    return L.Fabric(accelerator=accelerator, devices=1, precision=precision_of("auto"))


def _render(part: int, num_images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Render images (N, 3, H, W) uint8; returns them and their classes (N,)."""
    title = "rendering objects" if part == TRAIN else "rendering held-out ones"
    samples = list(show_progress(object_images(part, num_images, seed), title, num_images))
    images = torch.from_numpy(np.stack([image for image, _ in samples]))
    return images.permute(0, 3, 1, 2), torch.tensor([label for _, label in samples])


def _classify(model: nn.Module, backbone: Backbone, images: Tensor, fabric: L.Fabric) -> Tensor:
    """Compute class logits (B, K) of images (B, 3, H, W), normalized as the network does it."""
    sizes = torch.tensor([images.shape[2:]] * len(images))
    logits: Tensor = model(fabric.to_device(backbone.normalize(images, sizes)))
    return logits


def _read_accuracy(file: Path, settings: Mapping[str, object]) -> float:
    """Read the accuracy that a file states. Raises UserError where it was trained with other settings."""
    try:
        with safe_open(file, "pt") as content:
            stored = json.loads((content.metadata() or {})[METADATA])
            accuracy = float(stored["accuracy"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise UserError(f"{file}: it exists and is no classifier of rendered objects; choose another file") from None
    other = [
        f"{name} {stored.get(name)!r}, not {value!r}" for name, value in settings.items() if stored.get(name) != value
    ]
    if other:
        raise UserError(
            f"{file}: its classifier was trained with {'; '.join(other)}; remove it, or choose another file"
        )
    return accuracy
