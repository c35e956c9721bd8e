"""Images a second at test time, beside the floor: backbone, pyramid and anchor convolution alone on the same images.

    python benchmarks/inference.py --preset spnet-s --device cpu --batch 1 --queries 1 100

Prints one JSON line: for each batch size the images a second of the floor, of the object-centric pathway and of the
query-centric one with so many queries in each image; medians of rounds, in images of 900 x 1500 pixels in memory.
Images, weights and queries are random; `score_threshold` is such that each scene, or each query in it, keeps its best
candidates: as many as a scene may have (object), or one in a thousand anchors (query).
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from emit import emit
from spnet.config.presets import PRESETS, get_preset
from spnet.models.inference import detect_all, iter_query_detections
from spnet.models.spnet import SPNet
from spnet.training.cpu import flush_denormals, keep_freed_memory
from timing import median_seconds

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def main() -> None:
    """Measure every batch size."""
    options = parse()
    torch.manual_seed(0)
    keep_freed_memory()
    with flush_denormals(), torch.inference_mode():
        speed = Speed(options)
        values = {name: value for batch in options.batch for name, value in speed.measure(batch).items()}
    facts = {name: getattr(options, name) for name in ("preset", "device", "precision", "size", "rounds")}
    name = "_".join(["inference", options.preset, options.precision])
    emit(name, facts | {"threads": torch.get_num_threads()} | values)


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="spnet-s")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--queries", type=int, nargs="*", default=[1, 100, 2057], help="in each image")
    parser.add_argument("--size", type=int, nargs=2, default=[900, 1500], help="height and width")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


class Speed:
    """A network with random weights and what it is asked."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device(options.device)
        model = get_preset(options.preset, "finetune", None).model
        model = replace(model, backbone=replace(model.backbone, weights="none"))
        self.network = SPNet(model).to(self.device).eval()
        self.keep_some()

    def keep_some(self) -> None:
        """Set the threshold of both pathways where one anchor in a thousand lies above it."""
        images, sizes = self.images(1)
        features = self.network.features(images, sizes)
        anchors = self.network.anchor_table(features)
        offsets = self.network.object_pathway().offsets(0, anchors.embeddings[0], torch.zeros(1, dtype=torch.int64))
        scores = self.network.logits[0](offsets.float().norm(dim=1)).sigmoid()
        threshold = float(scores.kthvalue(int(0.999 * len(scores))).values)
        inference = replace(self.network.config.inference, score_threshold=threshold)
        self.network.config = replace(self.network.config, inference=inference)

    def images(self, batch: int) -> tuple[Tensor, Tensor]:
        height, width = self.options.size
        padded = [-(-side // 32) * 32 for side in (height, width)]
        images = torch.randint(0, 256, (batch, 3, *padded), dtype=torch.uint8, device=self.device)
        return images, torch.tensor([[height, width]] * batch, device=self.device)

    def measure(self, batch: int) -> dict[str, float]:
        """Images a second."""
        images, sizes = self.images(batch)
        network = self.network

        def floor() -> None:
            network.anchor_table(network.features(images, sizes))

        def objects() -> None:
            detect_all(network, network.features(images, sizes))

        works: dict[str, Callable[[], None]] = {"floor": floor, "object": objects}
        for count in self.options.queries:
            queries = torch.randn(count, network.config.location_dim, device=self.device)

            def find(queries: Tensor = queries) -> None:
                for _ in iter_query_detections(network, network.features(images, sizes), queries):
                    pass

            works[f"query_{count}"] = find
        return {f"{name}_batch_{batch}": round(batch / self.seconds(work), 4) for name, work in works.items()}

    def seconds(self, work: Callable[[], None]) -> float:
        """Median of the rounds, after one to warm up on a GPU."""

        def cast() -> None:
            precision = self.options.precision
            with torch.autocast(self.device.type, DTYPES[precision], enabled=precision != "fp32"):
                work()

        if self.device.type == "cuda":
            cast()
        return median_seconds(cast, self.options.rounds, self.device)


if __name__ == "__main__":
    main()
