"""Train and measure a network from Python: a preset, some keys replaced, a run, its metrics.

    python examples/train_in_python.py DATA OUTPUT [--KEY VALUE ...]

DATA is made by `spnet prepare`; keys are those of `spnet train PRESET --help`.
"""

import sys
from pathlib import Path

from spnet.config.io import override
from spnet.config.presets import get_preset
from spnet.evaluation.report import as_text
from spnet.evaluation.runner import evaluate_weights
from spnet.training.fit import fit


def main(data: str, output: str, *options: str) -> None:
    """Fine-tune SPNet-tiny on the split `train` and print what it reaches on `test`."""
    config = override(get_preset("spnet-tiny", "finetune"), options=["--data.root", data, *options])
    fit(config, Path(output))
    result = evaluate_weights(Path(output))
    print(as_text(result.report))
    print(f"results: {result.folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
