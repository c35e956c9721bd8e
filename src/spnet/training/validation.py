"""Measures a run while it trains: search metrics in fine-tuning, held-out losses in pre-training."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from spnet.config.schema import Monitor, RunConfig
from spnet.data.dataloader import TrainingLoader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.inspection import find_invalid_queries
from spnet.data.schema import Annotations, check_images_exist, read_annotations
from spnet.errors import UserError
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.query_pathway import evaluate_query_pathway
from spnet.evaluation.report import measure
from spnet.evaluation.runner import named_protocols
from spnet.runs.folder import split_file
from spnet.training.module import TrainingModule
from spnet.types import SceneBatch

OWN_SPLIT = "val"
HELD_OUT_PERSONS = 2**32  # added to their numbers, so that none is taken for a person of the training split

Measure = Callable[[TrainingModule], dict[str, float]]


def make_measure(config: RunConfig) -> Measure | None:
    """Make the function that measures a run in training; None if the data set has nothing to measure on.

    The function returns `recall`, `ap`, `mAP` and `top1` (0 to 1) along the run's own pathway, as `spnet evaluate`
    does; in pre-training `loss` and its parts on held-out images. It leaves modules and random state as they are.

    Raises:
        UserError: a split or a protocol that is missing or does not fit, or a monitored metric that is not measured.
    """
    split = validation_split(config)
    if split is None:
        if config.validation.patience:
            raise UserError(f"validation.patience needs a split to validate on: --val-split, or a split {OWN_SPLIT!r}")
        return None
    pretraining = config.stage == "pretrain"
    if (monitor_of(config) == "loss") != pretraining:
        choices = "loss" if pretraining else "mAP, top1, ap, recall"
        raise UserError(f"validation.monitor is {monitor_of(config)!r}; choose {choices} to {config.stage}")
    annotations = read_annotations(split_file(Path(config.data.root), split))
    check_images_exist(annotations)
    if pretraining:
        return partial(_held_out_losses, _held_out_loader(config, annotations), config.seed)
    return partial(_search_metrics, annotations, _protocol(config, split, annotations), config)


def validation_split(config: RunConfig) -> str | None:
    """The split a run is validated on: the configured one, or else `val` where the data set has all that is needed."""
    if config.validation.split is not None:
        return config.validation.split
    root = Path(config.data.root)
    needed = [root / "annotations" / f"{OWN_SPLIT}.json"]
    if config.stage == "finetune":
        needed.append(root / "retrieval" / f"{config.validation.protocol or OWN_SPLIT}.json")
    return OWN_SPLIT if all(file.is_file() for file in needed) else None


def validation_interval(config: RunConfig) -> int:
    """Epochs between two validations (`validation.every_n_epochs`)."""
    everything = config.optimizer.epochs
    return config.validation.every_n_epochs or (1 if validation_split(config) == OWN_SPLIT else everything)


def monitor_of(config: RunConfig) -> Monitor:
    """The metric that decides which weights are the best."""
    return config.validation.monitor or ("loss" if config.stage == "pretrain" else "mAP")


@contextmanager
def preserve_state(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation mode inside the block; restore its mode, its buffers and the random state after.

    Buffers are the memory of persons and its counters, which a loss updates whenever it is computed.
    """
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    module.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            yield
    finally:
        for name, buffer in module.named_buffers():
            buffer.copy_(buffers[name])
        module.train()


def _search_metrics(
    annotations: Annotations, protocols: dict[str, Protocol], config: RunConfig, module: TrainingModule
) -> dict[str, float]:
    """Measure the network as `spnet evaluate` does."""
    workers = config.data.num_workers
    how = ExtractionConfig(config.model.inference, num_workers=workers, device=module.device)
    with preserve_state(module):
        if config.objective.pathway == "query":
            report = evaluate_query_pathway(module.network, annotations, protocols, how)
        else:
            report = measure(extract_arrays(module.network, annotations, how), protocols)
    search = next(iter(report.searches.values()))["detected"]
    detection = {"recall": report.detection.recall, "ap": report.detection.average_precision}
    return detection | {"mAP": search.mean_average_precision, "top1": search.top(1)}


def _held_out_losses(loader: TrainingLoader, seed: int, module: TrainingModule) -> dict[str, float]:
    """Compute the losses on held-out images, each time on the same views with the same samples.

    Nobody in them is a known identity of the training split. The memory of persons is as training left it for each
    batch: OIM has no loss on unknown persons, and the contrastive loss finds a batch's persons among those of training.
    """
    sums: dict[str, float] = defaultdict(float)
    for batch in loader:
        with preserve_state(module):
            torch.manual_seed(seed)
            losses = module.objective(module.network, _as_unknown(batch.to(module.device)))
        for name, value in losses.items():
            sums[name] += float(value)
    means = {name: value / len(loader) for name, value in sums.items()}
    return {"loss": sum(means.values())} | {f"loss/{name}": value for name, value in means.items()}


def _as_unknown(batch: SceneBatch) -> SceneBatch:
    targets = batch.targets
    unknown = torch.full_like(targets.identity, -1)
    return replace(batch, targets=replace(targets, identity=unknown, person=targets.person + HELD_OUT_PERSONS))


def _held_out_loader(config: RunConfig, annotations: Annotations) -> TrainingLoader:
    """Views as in training, always those of epoch 0; images that fill no batch are left out."""
    data = config.data
    scenes = PersonSearchDataset(annotations, data.augmentation, config.seed, data.unique_id_per_box, data.cache_mb)
    batch_size = min(data.batch_size // data.augmentation.num_views, len(scenes))
    return TrainingLoader(scenes, batch_size, data.num_workers, config.seed)


def _protocol(config: RunConfig, split: str, annotations: Annotations) -> dict[str, Protocol]:
    """The retrieval protocol by name. Raises UserError if it is missing or not of this split."""
    name = config.validation.protocol or split
    protocols = named_protocols(Path(config.data.root), [name])
    protocol = protocols[name]
    if problems := find_invalid_queries(name, protocol.queries, protocol.listed_scenes(), {split: annotations}):
        raise UserError(f"validation on split {split!r}: {problems[0]}")
    return protocols


def as_tags(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics by the names that loggers show: `val/mAP`."""
    return {f"val/{name}": value for name, value in metrics.items()}
