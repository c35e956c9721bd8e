"""The network and its detection as one graph, for images of one window size; batch, boxes and queries may be any."""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.functional import pad

from spnet.config.schema import PathwayName
from spnet.data.dataloader import padded_size
from spnet.models.fpn import FeatureMaps
from spnet.models.inference import detect_all, detect_pairs
from spnet.models.spnet import SPNet

# what a graph takes, each with the name of its first dimension where that may be any
_SCENES: dict[str, str | None] = {"images": "batch", "sizes": "batch", "score_threshold": None, "given_boxes": "given"}
INPUTS: dict[PathwayName, dict[str, str | None]] = {"object": _SCENES, "query": {**_SCENES, "queries": "queries"}}
OUTPUTS: dict[PathwayName, tuple[str, ...]] = {
    "object": ("boxes", "scores", "scene", "embeddings", "given_embeddings"),
    "query": ("boxes", "scores", "scene", "query", "embeddings", "given_embeddings", "given_queries"),
}


class ExportableDetector(nn.Module):
    """Detects people along one pathway, and embeds given boxes.

    Images have the `window`, height and width in pixels, and are padded to multiples of 32.
    """

    def __init__(self, network: SPNet, window: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        height, width = padded_size(window)
        self.padding = (0, width - window[1], 0, height - window[0])

    def features(self, images: Tensor, sizes: Tensor) -> FeatureMaps:
        """P3..P7 of images of the window."""
        return self.network.features(pad(images, self.padding), sizes)

    def forward(
        self, images: Tensor, sizes: Tensor, score_threshold: Tensor, given_boxes: Tensor, queries: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Detect, as `OUTPUTS` of the pathway.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            sizes: (B, 2) int64 height, width of the image in each, at its top left.
            score_threshold: () float32, lowest score of an anchor that is kept.
            given_boxes: (R, 5) float32, image of the batch and box in it, pixels xyxy: to embed.
            queries: (Q, D) float32, x_q; query-centric alone.
        """
        network = self.network
        features = self.features(images, sizes)
        place = (features, given_boxes[:, 1:], given_boxes[:, 0].long())
        embedded = network.embed(*place)
        if queries is None:
            found = detect_all(network, features, score_threshold)
            return found.boxes, found.scores, found.scene, found.embeddings, embedded
        found = detect_pairs(network, features, queries, score_threshold)
        located = network.location_embed(1, *place)
        return found.boxes, found.scores, found.scene, found.query, found.embeddings, embedded, located


@torch.no_grad()
def trace(network: SPNet, pathway: PathwayName, window: tuple[int, int]) -> ExportedProgram:
    """The graph of a network's detection (`ExportableDetector`), without a word on which machine it was made."""
    detector = ExportableDetector(network, window).eval()
    nobody = torch.zeros(2, 3, *window, dtype=torch.uint8), torch.tensor([window] * 2), torch.tensor(1.0)
    example = (*nobody, torch.zeros(3, 5), *([torch.zeros(4, network.config.location_dim)] * (pathway == "query")))
    detector(*example)  # the anchors of this window are made, and are constants from now on
    sizes = {name: Dim(name, min=int(name == "batch")) for name in INPUTS[pathway].values() if name}
    dynamic = tuple(name and {0: sizes[name]} for name in INPUTS[pathway].values())
    program = torch.export.export(detector, example, dynamic_shapes=dynamic, strict=False)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program
