"""What can be chosen of the demo; apart from what it does, so that the command line answers quickly."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """What is done, and where.

    Args:
        output: folder of everything; what is there from the same demo is not done again.
        scenes: training scenes, and as many images to pre-train on.
        identities: people known in training.
        test_scenes: scenes that are searched.
        test_identities: people searched for, others than in training.
        seed: of data and training.
        epochs_scale: share of the usual training, for trials.
    """

    output: Path = Path("runs/demo")
    scenes: int = 900
    identities: int = 150
    test_scenes: int = 150
    test_identities: int = 50
    seed: int = 0
    epochs_scale: float = 1.0
