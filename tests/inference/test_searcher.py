"""The public interface: detect, embed and find in images of any kind and size."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import spnet
from miniature import make_config, make_network
from spnet import ImageDetections, Searcher
from spnet.config.schema import InferenceConfig
from spnet.errors import UserError
from spnet.inference.searcher import Boxes

# scores of a network that learnt nothing mean nothing: everything is kept
INFERENCE = InferenceConfig(
    min_size=64, max_size=96, score_threshold=0.0, object_pre_nms_topk=60, query_pre_nms_topk=30, max_detections=20
)
SIZES = ((64, 96), (64, 96), (90, 60), (200, 300), (64, 96), (50, 120))  # height, width; the fourth is scaled down


@pytest.fixture(scope="module")
def images() -> list[npt.NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def searcher() -> Searcher:
    return Searcher(make_network(inference=INFERENCE), batch_size=4)


@pytest.fixture(scope="module")
def people(searcher: Searcher, images: list[npt.NDArray[np.uint8]]) -> list[ImageDetections]:
    return searcher.detect(images)


def test_everyone_in_each_image_best_first(people: list[ImageDetections]) -> None:
    assert len(people) == len(SIZES)
    for found, (height, width) in zip(people, SIZES, strict=True):
        assert 0 < len(found.boxes) <= INFERENCE.max_detections
        assert found.boxes.shape == (len(found.scores), 4)
        assert found.embeddings.shape == (len(found.scores), 8)
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
        assert (found.boxes >= 0).all()
        assert (found.boxes <= torch.tensor([width, height, width, height]) + 1e-3).all()
        assert torch.equal(found.scores, found.scores.sort(descending=True).values)
        assert found.scores.min() >= 0
        assert found.scores.max() <= 1


def test_boxes_are_pixels_of_the_file(people: list[ImageDetections]) -> None:
    """The fourth image is three times its view; its boxes reach where no view has a pixel."""
    assert people[3].boxes[:, 2].max() > 120


def test_together_is_one_at_a_time(
    searcher: Searcher, images: list[npt.NDArray[np.uint8]], people: list[ImageDetections]
) -> None:
    single = Searcher(searcher.network, batch_size=1)
    for image, together in zip(images, people, strict=True):
        (alone,) = single.detect([image])
        for name, value in vars(alone).items():
            torch.testing.assert_close(getattr(together, name), value, atol=1e-4, rtol=1e-4)


def test_any_kind_of_image(
    searcher: Searcher, images: list[npt.NDArray[np.uint8]], people: list[ImageDetections], tmp_path: Path
) -> None:
    image = Image.fromarray(images[0])
    image.save(tmp_path / "a.png")
    tensor = torch.from_numpy(images[0]).permute(2, 0, 1)
    for found in searcher.detect([str(tmp_path / "a.png"), tmp_path / "a.png", image, tensor]):
        torch.testing.assert_close(found.boxes, people[0].boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.embeddings, people[0].embeddings, atol=1e-4, rtol=1e-4)


def test_what_is_detected_embeds_as_it_was(
    searcher: Searcher, images: list[npt.NDArray[np.uint8]], people: list[ImageDetections]
) -> None:
    embedded = searcher.embed(images, [found.boxes for found in people])
    for found, embeddings in zip(people, embedded, strict=True):
        torch.testing.assert_close(embeddings, found.embeddings, atol=1e-3, rtol=1e-3)


def test_boxes_to_embed_may_be_none_or_lists(searcher: Searcher, images: list[npt.NDArray[np.uint8]]) -> None:
    boxes: list[Boxes] = [torch.zeros(0, 4), [[5, 5, 30, 60], [20, 2, 50, 50]], torch.tensor([[5, 5, 30, 60]])]
    nobody, two, one = searcher.embed(images[:3], boxes)
    assert (len(nobody), len(two), len(one)) == (0, 2, 1)
    again = searcher.embed(images[1:2], [torch.tensor([[5.0, 5, 30, 60]])])[0]
    torch.testing.assert_close(two[:1], again, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_find_ranks_the_queried_box_itself_first(heads: str, images: list[npt.NDArray[np.uint8]]) -> None:
    searcher = Searcher(make_network(inference=INFERENCE, heads=heads, cascade_steps=1), batch_size=2)
    everyone = searcher.detect(images)
    queries = [(images[number], everyone[number].boxes[0]) for number in (1, 3)]
    for number, (_, box), ranking in zip((1, 3), queries, searcher.find(images, queries), strict=True):
        assert len(ranking.boxes) == sum(len(found.boxes) for found in everyone)
        assert torch.equal(ranking.similarity, ranking.similarity.sort(descending=True).values)
        assert ranking.image[0] == number
        assert ranking.similarity[0] == pytest.approx(1, abs=1e-3)
        torch.testing.assert_close(ranking.boxes[0], box, atol=1e-2, rtol=0)


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_the_query_centric_path_finds_for_each_query_its_own(heads: str, images: list[npt.NDArray[np.uint8]]) -> None:
    searcher = Searcher(make_network(inference=INFERENCE, heads=heads, cascade_steps=1), batch_size=2)
    queries = [(images[1], [20, 5, 60, 60]), (images[3], [100, 50, 180, 190])]
    rankings = searcher.find(images, queries, "query")
    for ranking in rankings:
        assert set(ranking.image.tolist()) == set(range(len(images)))
        assert len(ranking.boxes) == len(ranking.scores) == len(ranking.image) == len(ranking.similarity)
        assert torch.equal(ranking.similarity, ranking.similarity.sort(descending=True).values)
    first, second = rankings
    assert len(first.boxes) != len(second.boxes) or not torch.equal(first.boxes, second.boxes)


def test_queries_do_not_touch_one_another(searcher: Searcher, images: list[npt.NDArray[np.uint8]]) -> None:
    queries = [(images[0], [10, 5, 40, 60]), (images[3], (100, 50, 180, 190)), (images[0], [30, 5, 60, 60])]
    for pathway in ("object", "query"):
        together = searcher.find(images[:3], queries, pathway)
        alone = [searcher.find(images[:3], [query], pathway)[0] for query in queries]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one.similarity, other.similarity, atol=1e-4, rtol=1e-4)
            assert len(one.boxes) > 0


def test_a_ranking_holds_for_every_image_its_own_people(
    searcher: Searcher, images: list[npt.NDArray[np.uint8]], people: list[ImageDetections]
) -> None:
    (ranking,) = searcher.find(images, [(images[2], [5, 5, 40, 80])])
    for number, found in enumerate(people):
        boxes = ranking.boxes[ranking.image == number]
        assert sorted(boxes.tolist()) == sorted(found.boxes.tolist())


def test_empty_lists(searcher: Searcher, images: list[npt.NDArray[np.uint8]]) -> None:
    assert searcher.detect([]) == []
    assert searcher.embed([], []) == []
    for pathway in ("object", "query"):
        assert searcher.find(images[:1], [], pathway) == []
        with pytest.raises(UserError, match="no images are given"):
            searcher.find([], [(images[0], [0, 0, 9, 9])], pathway)


def test_nobody_anywhere(images: list[npt.NDArray[np.uint8]]) -> None:
    nobody = Searcher(make_network(inference=InferenceConfig(min_size=64, max_size=96, score_threshold=1.0)))
    assert [len(found.boxes) for found in nobody.detect(images[:2])] == [0, 0]
    for pathway in ("object", "query"):
        (ranking,) = nobody.find(images[:2], [(images[0], [0, 0, 30, 60])], pathway)
        assert len(ranking.image) == 0


def test_mistakes(searcher: Searcher, images: list[npt.NDArray[np.uint8]]) -> None:
    with pytest.raises(UserError, match="pathway 'both' is unknown; choose 'object' or 'query'"):
        searcher.find(images, [], "both")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(UserError, match="2 images but boxes for 1"):
        searcher.embed(images[:2], [torch.zeros(0, 4)])
    with pytest.raises(UserError, match=r"none\.jpg cannot be read"):
        searcher.detect([images[0], "none.jpg"])
    with pytest.raises(UserError, match="an image of shape"):
        searcher.find([images[0]], [(np.zeros((4, 4), np.uint8), [0, 0, 1, 1])])


def test_save_and_load(
    searcher: Searcher, images: list[npt.NDArray[np.uint8]], people: list[ImageDetections], tmp_path: Path
) -> None:
    searcher.save(tmp_path / "net.safetensors")
    again = Searcher.load(tmp_path / "net.safetensors")
    torch.testing.assert_close(again.detect(images[:1])[0].boxes, people[0].boxes)
    with pytest.raises(UserError, match="no such file"):
        Searcher.load(tmp_path / "none.safetensors")


def test_from_a_configuration(images: list[npt.NDArray[np.uint8]]) -> None:
    torch.manual_seed(0)
    searcher = Searcher(make_config(inference=INFERENCE))
    assert not searcher.network.training
    assert len(searcher.detect(images[:1])) == 1


def test_a_trained_run_finds_people(small_run: Path, small_data: Path) -> None:
    searcher = Searcher.load(small_run)
    gallery = sorted((small_data.parent / "images").glob("train*.png"))
    found = searcher.detect(gallery)
    assert sum(len(people.boxes) for people in found) >= len(gallery)
    (ranking,) = searcher.find(gallery, [(gallery[3], found[3].boxes[0])])
    assert ranking.image[0] == 3
    assert ranking.similarity[0] == pytest.approx(1, abs=1e-3)


def test_the_package_offers_it() -> None:
    for name in spnet.__all__:
        assert getattr(spnet, name) is not None
    with pytest.raises(AttributeError, match="No spnet attribute nothing"):
        getattr(spnet, "nothing")  # noqa: B009
    code = "import sys, spnet; print('torch' in sys.modules)"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert ended.stdout == "False\n"
