"""Is what a file computes what PyTorch computes? On rendered streets and noise, with everything kept that can be."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from spnet.config.schema import PathwayName
from spnet.export.formats import Runner
from spnet.export.graph import INPUTS, OUTPUTS, ExportableDetector
from spnet.inference.images import fit_window
from spnet.models.spnet import SPNet
from spnet.synthetic.scenario import pretraining_scenes
from spnet.types import SceneBatch

MOST_BOX, MOST_SCORE, LEAST_COSINE = 0.05, 1e-3, 0.9999  # pixels, difference, of embeddings
MOST_UNMATCHED = 0.01  # share of detections that hang on a decision which rounding may turn
NEAR = 1.0  # pixels within which two boxes are the same detection
GIVEN = torch.tensor([[0.1, 0.1, 0.4, 0.9], [0.5, 0.2, 0.6, 0.5], [0.0, 0.0, 1.0, 1.0]])  # boxes, shares of the image


@dataclass(frozen=True)
class Differences:
    """How far two runs of the same images are apart."""

    detections: int = 0  # of both
    unmatched: int = 0  # of these, how many the other run has not within a pixel
    box: float = 0.0  # pixels, largest of those that match
    score: float = 0.0  # largest
    cosine: float = 1.0  # smallest, of embeddings

    def __add__(self, other: "Differences") -> "Differences":
        """Of both; NaN of either stays NaN."""
        return Differences(
            self.detections + other.detections,
            self.unmatched + other.unmatched,
            float(np.maximum(self.box, other.box)),
            float(np.maximum(self.score, other.score)),
            float(np.minimum(self.cosine, other.cosine)),
        )

    def __str__(self) -> str:
        """One line."""
        return (
            f"boxes {self.box:.2g} px, scores {self.score:.2g}, embeddings' cosine {self.cosine:.7g} "
            f"in {self.detections} detections, {self.unmatched} of them without a counterpart"
        )

    @property
    def acceptable(self) -> bool:
        """Whether something was compared and all of it is near enough; not so where a number is NaN."""
        few = self.detections > 0 and self.unmatched <= MOST_UNMATCHED * self.detections
        return few and self.box <= MOST_BOX and self.score <= MOST_SCORE and self.cosine >= LEAST_COSINE


@torch.no_grad()
def measure_differences(network: SPNet, pathway: PathwayName, window: tuple[int, int], run: Runner) -> Differences:
    """Compare a file with the network on a rendered street and noise of another size together, and on noise alone."""
    detector = ExportableDetector(network, window)
    total = Differences()
    for batch in _scenes(window):
        inputs = _inputs(detector, pathway, batch)
        expected = dict(zip(OUTPUTS[pathway], detector(*inputs.values()), strict=True))
        total += compare(run(inputs), expected)
    return total


def compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> Differences:
    """Differences of outputs (`OUTPUTS`): detections are matched by image, query and nearest box."""
    total = Differences()
    for name in ("given_embeddings", "given_queries"):
        if name in expected and len(expected[name]):
            total += Differences(cosine=_least_cosine(found[name], expected[name]))
    ours, theirs = found["boxes"], expected["boxes"]
    total += Differences(len(ours) + len(theirs), len(ours) + len(theirs))
    if not len(ours) or not len(theirs):
        return total
    distance = (ours[:, None] - theirs).abs().amax(2)
    for name in ("scene", "query"):
        if name in expected:
            distance = distance.masked_fill(found[name][:, None] != expected[name], torch.inf)
    nearest = distance.argmin(1)
    rows = torch.arange(len(ours))
    mine = rows[(distance.argmin(0)[nearest] == rows) & (distance[rows, nearest] <= NEAR)]
    if not len(mine):
        return total
    other = nearest[mine]
    return total + Differences(
        unmatched=-2 * len(mine),
        box=float(distance[mine, other].max()),
        score=float((found["scores"][mine] - expected["scores"][other]).abs().max()),
        cosine=_least_cosine(found["embeddings"][mine], expected["embeddings"][other]),
    )


def _least_cosine(ours: Tensor, theirs: Tensor) -> float:
    return float(cosine_similarity(ours.double(), theirs.double(), dim=1).min())


def _scenes(window: tuple[int, int]) -> Iterator[SceneBatch]:
    """Batches of two and of one."""
    random = np.random.default_rng(0)
    (street,) = pretraining_scenes(1, 0)
    shapes = ((window[0], window[1] // 2), (window[0] // 2, window[1]))
    noise = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    yield fit_window([street.rendered.image, noise[0]], window, antialias=True)
    yield fit_window([noise[1]], window, antialias=True)


def _inputs(detector: ExportableDetector, pathway: PathwayName, batch: SceneBatch) -> dict[str, Tensor]:
    """All of the best anchors are kept, score 0 too.

    Boxes are given in the first scene of two; their embeddings are the queries.
    """
    count = len(GIVEN) if len(batch.images) > 1 else 0
    height, width = batch.sizes[0].tolist()
    boxes = GIVEN * torch.tensor([width, height, width, height])
    given = torch.cat([torch.zeros(len(GIVEN), 1), boxes], 1)
    values = [batch.images, batch.sizes, torch.tensor(-1.0), given[:count]]
    if pathway == "query":
        features = detector.features(batch.images, batch.sizes)
        values.append(detector.network.location_embed(1, features, boxes, given[:, 0].long()))
    return dict(zip(INPUTS[pathway], values, strict=True))
