"""A run or a weights file becomes one file that runs elsewhere: traced, written, compared, and only then kept."""

from pathlib import Path

import spnet
from spnet.config.presets import name_of
from spnet.config.schema import PathwayName
from spnet.errors import UserError
from spnet.export.check import LEAST_COSINE, MOST_BOX, MOST_SCORE, Differences, measure_differences
from spnet.export.formats import FormatName, check_format_available, runner, to_bytes
from spnet.export.graph import trace
from spnet.files import write_bytes
from spnet.inference.export_info import ExportInfo
from spnet.models.checkpoints import load_network
from spnet.models.hub import find_weights
from spnet.models.spnet import SPNet
from spnet.runs.record import file_digest

SMALLEST = 32  # pixels a side


def export_network(
    source: Path,
    output: Path,
    format_name: FormatName = "onnx",
    pathway: PathwayName = "object",
    window: tuple[int, int] | None = None,
) -> tuple[ExportInfo, Differences]:
    """Write the network of a run or a weights file as one file, after comparing it with PyTorch (docs/export.md).

    Args:
        source: a finished run's folder or a weights file.
        output: the file to make; must not exist.
        format_name: `onnx`, or `torch` for torch.export's own (.pt2).
        pathway: `object` detects everyone; `query` the persons of embeddings that it is given.
        window: height, width of the images it will take, pixels; not given: the network's own, landscape.

    Raises:
        UserError: no weights, a package missing, `output` taken, a window too small, or a file that differs from
            PyTorch; nothing is written then.
    """
    check_format_available(format_name)
    if output.exists():
        raise UserError(f"output {str(output)!r} exists; choose another file")
    if window is not None and min(window) < SMALLEST:
        raise UserError(f"--window {window[0]} {window[1]}: both sides must have {SMALLEST} pixels or more")
    weights = find_weights(source)
    network = load_network(weights).requires_grad_(False)  # nothing is trained of what is written
    info = describe(network, file_digest(weights), pathway, window)
    content = to_bytes(trace(network, pathway, info.window), info, format_name)
    differences = measure_differences(network, pathway, info.window, runner(content, info, format_name))
    if not differences.acceptable:
        raise UserError(
            f"{output}: not written, it differs from PyTorch: {differences}; at most {MOST_BOX} px, {MOST_SCORE} and "
            f"a cosine of {LEAST_COSINE} are accepted"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, content)
    return info, differences


def describe(network: SPNet, fingerprint: str, pathway: PathwayName, window: tuple[int, int] | None) -> ExportInfo:
    """What the file says about itself."""
    config = network.config
    return ExportInfo(
        preset=name_of(config),
        pathway=pathway,
        window=window or (config.inference.min_size, config.inference.max_size),
        fingerprint=fingerprint,
        reid_dim=config.reid_dim,
        location_dim=config.location_dim,
        score_threshold=config.inference.score_threshold,
        antialias=config.inference.antialias,
        spnet=spnet.__version__,
    )
