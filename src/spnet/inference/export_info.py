"""What an exported file says about itself, as JSON in its metadata."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spnet.config.io import parse
from spnet.config.schema import PathwayName
from spnet.errors import UserError
from spnet.runs.record import file_digest

METADATA_KEY = "spnet"


@dataclass(frozen=True)
class ExportInfo:
    """What a reader of the file has to know."""

    preset: str  # whose architecture it has, or `custom`
    pathway: PathwayName
    window: tuple[int, int]  # height, width of the images it takes, pixels
    fingerprint: str  # of the weights file it was made from
    reid_dim: int  # E
    location_dim: int  # D, of queries
    score_threshold: float  # the network's own, which the input of that name may undercut
    antialias: bool  # images are averaged where they are shrunk
    spnet: str  # version that wrote it


def parse_info(text: str | None, origin: str) -> ExportInfo:
    """Read the metadata of an exported file. Raises UserError where there is none, or another version's."""
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        raise UserError(f"weights {origin!r}: an ONNX file that `spnet export` has not written") from None
    return parse(ExportInfo, content, origin)


def network_fingerprint(file: Path) -> str:
    """Digest of a network's weights file; of an exported file that of the weights it was made from. Raises UserError.

    Embeddings of one network can be compared, whichever of its files made them.
    """
    return _exported_fingerprint(file, file.stat().st_mtime_ns) if file.suffix == ".onnx" else file_digest(file)


@lru_cache
def _exported_fingerprint(file: Path, changed: int) -> str:
    from spnet.inference.onnx_searcher import OnnxModel

    return OnnxModel(file, str(file)).info.fingerprint
