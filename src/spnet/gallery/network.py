"""The network of an index: found, compared with the one that the index was made with, loaded once."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import spnet
from spnet.errors import UserError
from spnet.evaluation.extract import default_device
from spnet.gallery.calibration import Calibration, read_calibration
from spnet.gallery.frames import Detector, detect_chunk
from spnet.inference.export_info import network_fingerprint
from spnet.inference.searcher import Searcher


def load_searcher(weights: Path, device: str | None, batch_size: int) -> Searcher:
    """A network on the given device, or on CUDA where there is one. Raises UserError."""
    return Searcher.load(weights, device or default_device(), batch_size)


class IndexNetwork:
    """The network whose embeddings an index holds: that of `weights`, else the one the index was made with.

    `index` is what the index is called in messages; `about` what it says about its network (`describe`), empty before
    there is one. Raises UserError for `weights` of another network than the index was made with.
    """

    def __init__(
        self, index: str, about: Mapping[str, Any], weights: Path | None, device: str | None, batch_size: int
    ) -> None:
        self.device, self.batch_size = device, batch_size
        self._index, self._about, self._given = index, about, weights
        if weights is not None:
            self._check_fingerprint(weights)

    @cached_property
    def searcher(self) -> Searcher:
        """Loaded when first asked for. Raises UserError where the weights are gone, or take images of another size."""
        searcher = load_searcher(self.weights, self.device, self.batch_size)
        self._check_window(searcher.window)
        return searcher

    @cached_property
    def weights(self) -> Path:
        """The weights file. Raises UserError where that of the index is not there any more, or is another one."""
        if self._given is not None:
            return self._given
        weights = Path(self._about["weights"])
        if not weights.is_file():
            raise UserError(f"{self._index}: its weights {weights} are not there any more; name them (--weights)")
        self._check_fingerprint(weights)
        return weights

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights."""
        return str(self._about["fingerprint"]) if self._about else network_fingerprint(self.weights)

    @property
    def calibration(self) -> Calibration | None:
        """What turns similarities into probabilities, None where nobody has calibrated the network."""
        weights = self._given or (Path(self._about["weights"]) if self._about else None)
        return read_calibration(weights, self.fingerprint) if weights is not None and weights.is_file() else None

    def detector(self, ray: str | None) -> AbstractContextManager[Detector]:
        """Finds people on this machine, or on the Ray cluster of an address. Raises UserError."""
        searcher = self.searcher
        if ray is None:
            return nullcontext(lambda chunks: (detect_chunk(searcher, chunk) for chunk in chunks))
        from spnet.gallery.ray_detector import ray_detector

        return ray_detector(ray, searcher.network, self.device, self.batch_size)

    def describe(self) -> dict[str, object]:
        """What a new index says about its network."""
        return {
            "fingerprint": self.fingerprint,
            "weights": str(self.weights.absolute()),
            "window": self.searcher.window,
            "created": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
            "spnet": spnet.__version__,
        }

    def _check_fingerprint(self, weights: Path) -> None:
        fingerprint, made_with = network_fingerprint(weights), self._about.get("fingerprint")
        if made_with not in (None, fingerprint):
            raise UserError(
                f"{self._index}: made with the network {made_with}, but {weights} is {fingerprint}; "
                "their embeddings cannot be compared"
            )

    def _check_window(self, window: tuple[int, int]) -> None:
        """Raise UserError where the index was made from images of another size; indexes of before do not say."""
        made_with = self._about.get("window")
        if made_with is not None and tuple(made_with) != window:
            theirs, ours = ("{} x {}".format(*sides) for sides in (made_with, window))
            raise UserError(
                f"{self._index}: made from images within {theirs} pixels, but {self.weights} takes {ours}; "
                f"export it with --window {theirs.replace(' x', '')}, or make another index"
            )
