"""What `flush_denormals` and `keep_freed_memory` save of a fine-tuning step of SPNet-tiny on one CPU thread.

Prints one JSON line: milliseconds with and without them, medians of rounds, after as many steps as make the gradients
of easy anchors tiny. What a step costs beside its floor is `train_step.py`'s question.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from emit import emit
from spnet.config.presets import get_preset
from spnet.synthetic import prepare_synthetic
from spnet.training.cpu import flush_denormals, keep_freed_memory
from spnet.training.module import TrainingModule
from spnet.training.trainer import make_training_loader, precision_of
from spnet.training.transfer import build_network
from spnet.types import SceneBatch

WARM_UP, ROUNDS = 8, 5  # passes over the batches


def main() -> None:
    """One thread, batches held in memory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        module, batches = prepare(Path(folder))
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision_of("auto") == "bf16-mixed")

    def step(batch: SceneBatch) -> None:
        with autocast:
            loss = torch.stack(list(module.objective(module.network, batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(WARM_UP):
        milliseconds(step, batches)
    without = median(step, batches)
    keep_freed_memory()
    with flush_denormals():
        with_settings = median(step, batches)
    values = {"step_ms": with_settings, "without_ms": without, "saved": 1 - with_settings / without}
    emit("cpu_settings", {name: round(value, 3) for name, value in values.items()})


def prepare(folder: Path) -> tuple[TrainingModule, list[SceneBatch]]:
    """The network, and some batches of synthetic scenes."""
    prepare_synthetic(folder, scenes=48, identities=12)
    config = get_preset("spnet-tiny", "finetune")
    config = replace(config, data=replace(config.data, root=str(folder), num_workers=0))
    loader = make_training_loader(config)
    network, _ = build_network(config)
    return TrainingModule(config, network, loader.scenes.num_identities, len(loader)).train(), list(loader)


def median(work: Callable[[SceneBatch], None], batches: list[SceneBatch]) -> float:
    """Milliseconds a batch."""
    return statistics.median(milliseconds(work, batches) for _ in range(ROUNDS))


def milliseconds(work: Callable[[SceneBatch], None], batches: list[SceneBatch]) -> float:
    """Of one pass over the batches, for each."""
    start = time.perf_counter()
    for batch in batches:
        work(batch)
    return 1000 * (time.perf_counter() - start) / len(batches)


if __name__ == "__main__":
    main()
