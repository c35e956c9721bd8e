"""`spnet calibrate RUN --data VAL`: what a similarity of this network is worth, as a probability."""

import argparse
from pathlib import Path

from spnet.cli.options import add_network_options, add_weights_argument, check_network_options

SUMMARY = "fit similarity to the probability that it is the same person, on a validation split"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet calibrate`."""
    add_weights_argument(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a prepared data set")
    parser.add_argument("--split", default="val", help="annotations of people not trained on (default %(default)s)")
    add_network_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Fit, write beside the weights, and print how good it is. Raises UserError."""
    from spnet.data.schema import read_annotations
    from spnet.gallery.calibration import fit_calibration, write_calibration
    from spnet.gallery.network import load_searcher
    from spnet.inference.export_info import network_fingerprint
    from spnet.models.hub import find_weights

    check_network_options(arguments)
    file = find_weights(arguments.weights)
    annotations = read_annotations(arguments.data / "annotations" / f"{arguments.split}.json")
    searcher = load_searcher(file, arguments.device, arguments.batch_size)
    data = f"{arguments.data.resolve().name}/{arguments.split}"
    fitted = fit_calibration(searcher, annotations, network_fingerprint(file), data)
    written = write_calibration(file, fitted)
    print(f"{fitted.pairs:,} pairs of {data}, {fitted.same / fitted.pairs:.1%} of them one person")
    print(f"expected calibration error {fitted.expected_error:.1%}, Brier score {fitted.brier:.4f}")
    for similarity in (0.3, 0.5, 0.7, 0.9):
        print(f"  similarity {similarity:.1f}: {fitted.probability(similarity):.1%}")
    print(f"wrote {written}")
