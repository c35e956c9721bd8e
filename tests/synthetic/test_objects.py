"""Images of single street objects: the same from the same seed, each showing its thing, and nobody."""

from itertools import islice

import numpy as np
import pytest

from spnet.synthetic import objects
from spnet.synthetic.canvas import Sprite
from spnet.synthetic.objects import CLASSES, MIN_SHARE, OBJECT_RENDERERS, OBJECT_SIZE, object_images
from spnet.synthetic.person_canvas import HEIGHT, WIDTH
from spnet.synthetic.scenario import PRETRAIN_ZOOM, SIZE, STREET, TEST, TRAIN
from spnet.synthetic.street import Street, build_street


@pytest.fixture(autouse=True)
def few_streets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "STREETS", 2)


@pytest.fixture(scope="module")
def street() -> Street:
    return build_street(np.random.default_rng([3, STREET]), SIZE, PRETRAIN_ZOOM)


def test_a_image_depends_on_part_seed_and_number_alone() -> None:
    first = list(object_images(TRAIN, 21, 5))
    again = list(islice(object_images(TRAIN, 300, 5), 21))
    assert [label for _, label in first] == [label for _, label in again] == [*range(len(CLASSES)), 0, 1]
    assert all((one == other).all() for (one, _), (other, _) in zip(first, again, strict=True))
    for part, seed in ((TEST, 5), (TRAIN, 6)):
        others = object_images(part, 21, seed)
        assert not any((one == other).all() for (one, _), (other, _) in zip(first, others, strict=True))


def test_images_differ_in_thing_place_and_street() -> None:
    benches = [image for image, label in object_images(TRAIN, 4 * len(CLASSES), 0) if CLASSES[label] == "bench"]
    assert all(image.shape == (OBJECT_SIZE, OBJECT_SIZE, 3) and image.dtype == np.uint8 for image in benches)
    difference = np.abs(np.stack(benches[1:]).astype(int) - benches[0]).mean((1, 2, 3))
    assert len(difference) == 3
    assert difference.min() > 15


@pytest.mark.parametrize("name", CLASSES)
def test_the_thing_is_to_be_seen(name: str, street: Street) -> None:
    """Against the same image with a thing of the same size that nothing is seen of."""
    sprite = OBJECT_RENDERERS[name](np.random.default_rng(0))
    nothing = Sprite(sprite.color, np.zeros_like(sprite.alpha))
    for seed in range(4):
        shown, empty = (objects._compose(street, one, np.random.default_rng(seed)) for one in (sprite, nothing))
        changed = (shown != empty).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 0.8 * MIN_SHARE * OBJECT_SIZE < longer <= OBJECT_SIZE
        assert changed.mean() > 0.01


@pytest.mark.parametrize("kind", ["backpack", "shoulder bag", "handbag"])
def test_a_bag_has_nobody_to_carry_it(kind: str) -> None:
    for seed in range(8):
        sprite = OBJECT_RENDERERS[kind](np.random.default_rng(seed))
        height, width = sprite.alpha.shape
        assert 10 < height < HEIGHT / 3
        assert 3 < width < WIDTH / 3
        assert (sprite.alpha > 0).mean() > 0.5
        # one color, lighter and darker
        colors = sprite.color[sprite.alpha > 0].astype(float)
        shares = colors / colors.sum(1, keepdims=True)
        assert np.ptp(shares, axis=0).max() < 0.2


def test_cars_of_a_class_are_of_one_kind(street: Street) -> None:
    """A van is a third higher than the others, beside its length."""
    shapes = {}
    for kind in ("saloon", "van"):
        sprites = [OBJECT_RENDERERS[kind](np.random.default_rng(seed)).alpha.shape for seed in range(40)]
        shapes[kind] = np.mean([height / width for height, width in sprites])
    assert shapes["van"] > 1.15 * shapes["saloon"]
