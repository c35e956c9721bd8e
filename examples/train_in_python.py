"""Train and measure a network from Python: a preset, some keys replaced, a callback, a logger, a run, its metrics.

    python examples/train_in_python.py DATA OUTPUT [--KEY VALUE ...]

DATA is made by `spnet prepare`; keys are those of `spnet train PRESET --help`. Callbacks and loggers are Lightning's.
`spnet.build_trainer` takes the same, and gives trainer, module and loader without the folder of a run.
"""

import sys
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger

from spnet import evaluate_weights, fit, get_preset, override
from spnet.evaluation.report import as_text


class PrintLoss(Callback):
    """Prints the loss at the end of each epoch."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the loss of the last step."""
        print(f"epoch {trainer.current_epoch + 1}: loss {trainer.callback_metrics['loss/total']:.3f}")


def main(data: str, output: str, *options: str) -> None:
    """Fine-tune SPNet-tiny on the split `train` and print what it reaches on `test`."""
    config = override(get_preset("spnet-tiny", "finetune"), options=["--data.root", data, *options])
    fit(config, output, callbacks=[PrintLoss()], loggers=[CSVLogger(f"{output}/logs", "csv")])
    result = evaluate_weights(Path(output))
    print(as_text(result.report))
    print(f"results: {result.folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
