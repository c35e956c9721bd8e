"""Runs an ONNX file of `spnet export` with ONNX Runtime, wherever a `Searcher` is wanted."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spnet.errors import UserError
from spnet.extras import import_extra
from spnet.inference.export_info import METADATA_KEY, ExportInfo, parse_info
from spnet.inference.images import ImageLike, fit_window, read_pixels
from spnet.inference.searcher import Searcher
from spnet.models.hub import find_weights
from spnet.models.spnet import SPNet
from spnet.types import Detections, SceneBatch

CUDA = "CUDAExecutionProvider"


class OnnxModel:
    """A session of ONNX Runtime over a file or its bytes, called `origin` in messages, and what it says about itself.

    Raises UserError for no ONNX file, or one that `spnet export` did not write.
    """

    def __init__(self, content: Path | bytes, origin: str, device: str = "cpu") -> None:
        runtime = import_extra("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self._session: Any = runtime.InferenceSession(
                content if isinstance(content, bytes) else str(content), options, _providers(runtime, device)
            )
        except _errors(runtime) as error:
            raise UserError(f"weights {origin!r}: no ONNX file that can be read ({_reason(error)})") from None
        self.info: ExportInfo = parse_info(self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY), origin)
        taken = self._session.get_inputs()[0].shape[2:]
        if tuple(taken) != self.info.window:
            raise UserError(f"weights {origin!r}: made for a window of {self.info.window} but takes images of {taken}")

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name (docs/export.md)."""
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(names, {name: value.cpu().numpy() for name, value in inputs.items()})
        return {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}


class OnnxSearcher(Searcher):
    """A `Searcher` without a network: everyone in images that are resized to the file's window, and given boxes.

    Raises UserError, naming the file `origin`, unless it was exported along the object-centric pathway.
    """

    def __init__(self, model: OnnxModel, origin: str, batch_size: int = 4) -> None:
        if model.info.pathway != "object":
            raise UserError(
                f"weights {origin!r}: exported for queries that are known; here the object-centric pathway is needed "
                "(spnet export --pathway object)"
            )
        self.model, self.origin, self.batch_size, self.device = model, origin, batch_size, torch.device("cpu")

    @classmethod
    def load(cls, source: str | Path, device: torch.device | str = "cpu", batch_size: int = 4) -> "OnnxSearcher":
        """From a file. Raises UserError as `OnnxModel`, and for a file of the query-centric pathway."""
        file = find_weights(source)
        return cls(OnnxModel(file, str(file), str(device)), str(file), batch_size)

    @property
    def network(self) -> SPNet:
        """There is none: raises UserError."""
        raise UserError(f"weights {self.origin!r}: an exported file cannot do this; name the run it was made from")

    @property
    def reid_dim(self) -> int:
        return self.model.info.reid_dim

    @property
    def window(self) -> tuple[int, int]:
        height, width = self.model.info.window
        return min(height, width), max(height, width)

    def _batches(self, images: Iterable[ImageLike]) -> Iterator[SceneBatch]:
        views = (read_pixels(image) for image in images)
        while part := list(islice(views, self.batch_size)):
            yield fit_window(part, self.model.info.window, self.model.info.antialias)

    def _detect(self, batch: SceneBatch) -> Detections:
        found = self._run(batch, self.model.info.score_threshold, torch.zeros(0, 5))
        nobody = torch.zeros_like(found["scene"])  # there are no queries
        return Detections(found["boxes"], found["scores"], found["scene"], nobody, found["embeddings"])

    def _embed_places(self, batch: SceneBatch, boxes: Tensor, scene: Tensor) -> Tensor:
        return self._run(batch, 1.0, torch.cat([scene[:, None].float(), boxes], 1))["given_embeddings"]

    def _run(self, batch: SceneBatch, score_threshold: float, given_boxes: Tensor) -> dict[str, Tensor]:
        return self.model.run(
            {
                "images": batch.images,
                "sizes": batch.sizes,
                "score_threshold": torch.tensor(score_threshold),
                "given_boxes": given_boxes,
            }
        )


def _providers(runtime: Any, device: str) -> list[str]:
    """What ONNX Runtime computes on: the CPU, after CUDA where that is wanted and its package has it."""
    wanted, there = device.startswith("cuda"), CUDA in runtime.get_available_providers()
    if wanted and not there:
        logging.getLogger("spnet").warning("onnxruntime has no CUDA: on the CPU (pip install onnxruntime-gpu)")
    return [*([CUDA] if wanted and there else []), "CPUExecutionProvider"]


def _errors(runtime: Any) -> tuple[type[Exception], ...]:
    """All that ONNX Runtime raises; they have no class in common."""
    kinds = vars(runtime.capi.onnxruntime_pybind11_state).values()
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rpartition(" : ")[2]
