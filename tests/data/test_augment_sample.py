"""Which views are sampled: what the paper says of scales and crops, over many samples."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from spnet.config.io import parse
from spnet.config.schema import Augmentation, InferenceConfig
from spnet.data.augment import ViewParams, sample_view, transform_boxes
from spnet.errors import UserError

IMAGE = (160, 120)
BOXES = np.array([[30.0, 20, 50, 80], [100.5, 30, 120, 90.25], [60, 60, 66, 76]])
KNOWN = np.array([False, True, False])
RRC2 = Augmentation(
    "rrc2", crop_size=64, min_size=120, max_size=200
)  # the image stays as it is: 160 x 120, padded to 192


def plans(
    augmentation: Augmentation,
    boxes: npt.NDArray[np.float64] = BOXES,
    known: npt.NDArray[np.bool_] = KNOWN,
    count: int = 2000,
) -> list[ViewParams]:
    generator = np.random.default_rng(0)
    return [sample_view(augmentation, IMAGE, boxes, known, generator) for _ in range(count)]


def is_fixed(plan: ViewParams) -> bool:
    x1, y1, x2, y2 = plan.crop
    return x2 - x1 == y2 - y1 == 64


@pytest.mark.parametrize(
    ("image", "window", "resized"),
    [
        ((640, 480), (900, 1500), (1200, 900)),
        ((1920, 1080), (900, 1500), (1500, 844)),
        ((480, 640), (900, 1500), (900, 1200)),
        ((640, 480), (256, 512), (341, 256)),
        ((1000, 10), (256, 512), (512, 5)),
    ],
)
def test_wrs_fits_the_window(image: tuple[int, int], window: tuple[int, int], resized: tuple[int, int]) -> None:
    wrs = Augmentation("wrs", min_size=window[0], max_size=window[1])
    plan = sample_view(wrs, image, BOXES, KNOWN, np.random.default_rng(0))
    assert (plan.resized, plan.output, plan.flipped) == (resized, resized, False)
    scale = np.array(resized) / image
    np.testing.assert_allclose(transform_boxes(plan, BOXES)[0], BOXES * np.tile(scale, 2))


def test_wrs_keeps_boxes_beyond_the_border() -> None:
    """Evaluation counts every annotated box: without a crop none is clipped or dropped."""
    boxes = np.array([[-50.0, -10, 10, 60], [0, 0, 10, 10]])
    plan = sample_view(
        Augmentation("wrs", min_size=120, max_size=200), IMAGE, boxes, np.ones(2, bool), np.random.default_rng(0)
    )
    found, rows = transform_boxes(plan, boxes)
    np.testing.assert_array_equal(rows, [0, 1])
    np.testing.assert_allclose(found, boxes)


def test_both_crops_and_both_flips_are_equally_likely() -> None:
    drawn = plans(RRC2)
    assert np.mean([is_fixed(plan) for plan in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([plan.flipped for plan in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([plan.flipped for plan in drawn if is_fixed(plan)]) == pytest.approx(0.5, abs=0.06)


def test_the_fixed_crop_holds_a_known_box_and_is_uniform_among_those_that_do() -> None:
    crops = np.array([plan.crop for plan in plans(RRC2, count=4000) if is_fixed(plan)])
    box = np.array([100, 30, 120, 91]) + np.array([16, 36, 16, 36])  # on whole pixels, within the padded image
    for axis in (0, 1):
        low, high = max(0, box[2 + axis] - 64), min(box[axis], 192 - 64)
        counts = np.bincount(crops[:, axis] - low, minlength=high - low + 1)
        assert len(counts) == high - low + 1
        expected = len(crops) / len(counts)
        assert ((counts - expected) ** 2 / expected).sum() < 2.5 * len(counts) + 10  # chi-square, far in the tail


def test_without_a_known_person_every_box_gets_its_turn() -> None:
    nobody = np.zeros(3, bool)
    crops = np.array([plan.crop for plan in plans(RRC2, known=nobody) if is_fixed(plan)])
    moved = BOXES + np.tile([16, 36], 2)
    holds = (crops[:, None, :2] <= moved[:, :2]).all(-1) & (crops[:, None, 2:] >= moved[:, 2:]).all(-1)
    assert holds.any(axis=1).all()
    assert (holds.sum(axis=0) > len(crops) / 4).all()


def test_a_box_longer_than_the_crop_widens_it() -> None:
    boxes = np.array([[20.0, 10, 40, 110]])
    drawn = [plan for plan in plans(RRC2, boxes, np.ones(1, bool)) if np.ptp(plan.crop[::2]) == np.ptp(plan.crop[1::2])]
    sides = [plan.crop[2] - plan.crop[0] for plan in drawn]
    assert sides.count(100) > 900
    for plan in drawn:
        if plan.crop[2] - plan.crop[0] == 100:
            found, _ = transform_boxes(plan, boxes)
            assert found[0, 3] - found[0, 1] == pytest.approx(64)
            assert plan.output == (64, 64)


def test_a_box_longer_than_the_padded_image_is_wide_is_still_held() -> None:
    augmentation = Augmentation("rrc2", crop_size=10, min_size=40, max_size=400)
    boxes = np.array([[5.0, 3, 30, 395]])
    generator = np.random.default_rng(0)
    for _ in range(50):
        plan = sample_view(augmentation, (40, 400), boxes, np.ones(1, bool), generator)
        assert len(transform_boxes(plan, boxes)[1]) == 1


def test_the_free_crop_holds_the_inner_part_of_all_boxes() -> None:
    crops = np.array([plan.crop for plan in plans(RRC2, count=4000) if not is_fixed(plan)])
    margin = 0.1 * (BOXES[:, 2:] - BOXES[:, :2])
    inner = np.concatenate([BOXES[:, :2] + margin, BOXES[:, 2:] - margin], axis=1) + np.tile([16, 36], 2)
    assert (crops[:, :2] <= inner[:, :2].min(axis=0)).all()
    assert (crops[:, 2:] >= inner[:, 2:].max(axis=0)).all()
    first, last = np.floor(inner[:, :2].min(axis=0)), np.ceil(inner[:, 2:].max(axis=0))
    np.testing.assert_allclose(crops[:, :2].mean(axis=0), first / 2, atol=2)  # uniform up to the padded border
    np.testing.assert_allclose(crops[:, 2:].mean(axis=0), (last + 192) / 2, atol=2)
    assert crops.min() == 0
    assert crops.max() == 192
    np.testing.assert_array_equal(crops[:, :2].max(axis=0), first)  # and down to the boxes, both ends included
    np.testing.assert_array_equal(crops[:, 2:].min(axis=0), last)
    assert any((crop[:2] - (16, 36) > BOXES[:, :2].min(axis=0)).any() for crop in crops)  # slight cuts happen


@pytest.mark.parametrize(("scale_range", "middle"), [((0.5, 2.0), 1.25), ((1.5, 3.0), 2.25), ((1.0, 1.0), 1.0)])
def test_rrc_scale_draws_the_scale_uniformly(scale_range: tuple[float, float], middle: float) -> None:
    drawn = plans(Augmentation("rrc_scale", crop_size=64, scale_range=scale_range))
    scales = np.array([plan.resized[0] / 160 for plan in drawn])
    assert scales.mean() == pytest.approx(middle, abs=0.03)
    assert scales.min() >= scale_range[0] - 0.01
    assert scales.max() <= scale_range[1] + 0.01
    assert np.quantile(scales, 0.25) == pytest.approx(np.mean([scale_range[0], middle]), abs=0.05)
    assert all(min(plan.padded) >= 256 for plan in drawn)


def test_rrc_window_scales_the_window() -> None:
    """Videos of any resolution give people of one range of sizes: the file's own size must not matter."""
    augmentation = Augmentation("rrc_window", 64, (0.5, 1.5), 60, 100)
    for times in (1, 4):
        generator = np.random.default_rng(0)
        image = (IMAGE[0] * times, IMAGE[1] * times)
        drawn = [sample_view(augmentation, image, BOXES * times, KNOWN, generator) for _ in range(2000)]
        scales = np.array([plan.resized[1] / 60 for plan in drawn])
        assert scales.mean() == pytest.approx(1, abs=0.03)
        assert (scales.min(), scales.max()) == pytest.approx((0.5, 1.5), abs=0.02)
        assert all(plan.padded == (192, 192) for plan in drawn)


@pytest.mark.parametrize("chance", [0.0, 0.1, 1.0])
def test_the_chance_of_the_crop_around_all_boxes_can_be_chosen(chance: float) -> None:
    drawn = plans(replace(RRC2, scene_crop_prob=chance))
    assert np.mean([not is_fixed(plan) for plan in drawn]) == pytest.approx(chance, abs=0.03)


def test_a_scene_without_boxes_gives_fixed_squares_anywhere() -> None:
    drawn = plans(RRC2, np.zeros((0, 4)), np.zeros(0, bool))
    assert all(is_fixed(plan) for plan in drawn)
    corners = np.array([plan.crop[:2] for plan in drawn])
    np.testing.assert_allclose(corners.mean(axis=0), 64, atol=3)
    assert (corners.min(), corners.max()) == (0, 128)


def test_boxes_less_than_40_percent_visible_are_dropped() -> None:
    plan = ViewParams(IMAGE, IMAGE, IMAGE, (50, 0, 114, 64), (64, 64), False)
    boxes = np.array([[40.0, 10, 60, 20], [30, 10, 63, 20], [44, 0, 54, 64], [43.9, 0, 53.9, 64], [0, 0, 10, 10]])
    found, rows = transform_boxes(plan, boxes)  # visible: 50%, 39%, exactly 40%, 39%, nothing
    np.testing.assert_array_equal(rows, [0, 2])
    np.testing.assert_allclose(found, [[0, 10, 10, 20], [0, 0, 4, 64]])
    flipped = ViewParams(IMAGE, IMAGE, IMAGE, (50, 0, 114, 64), (64, 64), True)
    np.testing.assert_allclose(transform_boxes(flipped, boxes)[0], [[54, 10, 64, 20], [60, 0, 64, 64]])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", "rcc2"),
        ("crop_size", 0),
        ("scale_range", (2.0, 0.5)),
        ("scale_range", (0.0, 1.0)),
        ("scale_range", (1.0, float("inf"))),
        ("scale_range", (float("nan"), 1.0)),
        ("scene_crop_prob", 1.5),
        ("scene_crop_prob", -0.1),
        ("min_size", 1600),
        ("min_size", 0),
        ("num_views", 0),
    ],
)
def test_bad_options_are_refused_by_name_and_value(option: str, value: object) -> None:
    with pytest.raises(UserError) as error:
        parse(Augmentation, {option: value}, "a test")
    assert option in str(error.value)
    assert any(str(one) in str(error.value) for one in (value if isinstance(value, tuple) else (value,)))
    assert "\n" not in str(error.value)


def test_the_window_of_the_paper_is_the_default() -> None:
    """Shortest side 900, longest at most 1,500 (supplementary section 8), of both the data and the network."""
    for name in ("wrs", "rrc2"):
        augmentation = Augmentation(name=name)
        assert (augmentation.min_size, augmentation.max_size) == (900, 1500)
    assert (InferenceConfig().min_size, InferenceConfig().max_size) == (900, 1500)
    boxes, known = np.zeros((0, 4)), np.zeros(0, bool)
    sizes = {(1200, 1000): (1080, 900), (1600, 800): (1500, 750), (640, 480): (1200, 900)}
    for image, resized in sizes.items():
        assert sample_view(Augmentation(name="wrs"), image, boxes, known, np.random.default_rng(0)).output == resized
