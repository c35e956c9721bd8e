"""RenderedScene scenes: boxes tell where people are rendered, identity survives poses, hidden people are left out."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from spnet.synthetic import scene as scenes
from spnet.synthetic.camera import Camera
from spnet.synthetic.canvas import Sprite
from spnet.synthetic.identity import BAGS, HAIR_STYLES, LOWER_KINDS, UPPER_KINDS, Identity, sample_identity
from spnet.synthetic.layers import Layer
from spnet.synthetic.light import Light
from spnet.synthetic.person import render_person
from spnet.synthetic.placing import in_view
from spnet.synthetic.pose import Pose, sample_pose, stand
from spnet.synthetic.scene import StaticScene, build_static_scene, render_scene, visible_shares

SIZE = (480, 360)
STANDING = Pose(phase=0.0, stride=0.0, arm_swing=0.0, elbow=0.1, lean=0.0, facing=0.0)


@pytest.fixture(scope="module")
def stage() -> StaticScene:
    return build_static_scene(np.random.default_rng(5), SIZE, (0.8, 1.0))


def person(seed: int = 0) -> Identity:
    return sample_identity(np.random.default_rng(seed))


@pytest.mark.parametrize("nearest", [1.5, 6.0])
def test_what_is_in_view_place_by_place(nearest: float, stage: StaticScene) -> None:
    camera, (width, height) = stage.street.camera, SIZE
    along, expected = np.arange(-5.0, 30.0, 0.25), []
    for x in (-9.0, -2.0, 0.0, 3.0, 9.0):
        found = in_view(stage.street, x, along, nearest)
        projected = [camera.project_ground((x, z)) for z in along.tolist()]
        inside = [
            -0.02 * width < u < 1.02 * width and v < 1.06 * height and depth > nearest for u, v, depth in projected
        ]
        assert found.tolist() == inside == [bool(in_view(stage.street, x, z, nearest)) for z in along.tolist()]
        expected += inside
    assert 10 < sum(expected) < len(expected) - 10


def test_people_are_drawn_inside_their_boxes_and_nowhere_else(
    stage: StaticScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudy = Light(False, 1.0, 0.0, (0.0, 0.0), 0.0, 1.0)
    monkeypatch.setattr(scenes, "sample_light", lambda street, random: cloudy)
    monkeypatch.setattr(scenes, "camera_response", lambda camera, image, *rest: image)
    monkeypatch.setattr(scenes, "PARKING_SHARE", 0.0)
    crowd = [person(seed) for seed in range(6)]
    empty = render_scene(stage, [], np.random.default_rng(1)).image
    rendered = render_scene(stage, crowd, np.random.default_rng(1))
    assert len(rendered.boxes) >= 4
    changed = np.abs(rendered.image.astype(int) - empty).max(2) > 40
    outside = np.ones(SIZE[::-1], bool)
    for (left, top, right, bottom), visible in zip(rendered.boxes, rendered.visible, strict=True):
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
        assert changed[top:bottom, left:right].mean() > 0.15 * visible
        outside[max(top - 2, 0) : bottom + 12, max(left - 8, 0) : right + 8] = False  # the dark ground at the feet
    assert changed[outside].mean() < 0.002


def test_same_generator_same_image(stage: StaticScene) -> None:
    images = [render_scene(stage, [person()], np.random.default_rng(seed)).image for seed in (1, 1, 2)]
    assert (images[0] == images[1]).all()
    assert (images[0] != images[2]).any()


def test_nobody_is_drawn_who_is_hidden(stage: StaticScene) -> None:
    for seed in range(6):
        rendered = render_scene(stage, [person(row) for row in range(8)], np.random.default_rng(seed))
        assert len(set(rendered.people.tolist())) == len(rendered.people) == len(rendered.boxes)
        assert (rendered.visible >= scenes.MIN_VISIBLE_SHARE).all()


def test_visible_share_counts_what_is_before_and_outside() -> None:
    def block(left: int, depth: float) -> Layer:
        solid = Sprite(np.zeros((10, 10, 3), np.uint8), np.full((10, 10), 255, np.uint8))
        return Layer(solid, left, 5, depth, (0.0, 0.0))

    shares = visible_shares((40, 30), {0: block(0, 9.0), 1: block(36, 9.0), 2: block(20, 3.0)}, [block(7, 5.0)])
    assert shares == pytest.approx({0: 0.7, 1: 0.4, 2: 1.0})


def test_clothes_stay_the_same_from_all_sides() -> None:
    upper = replace(person().upper, kind="t-shirt", pattern="plain", color=(40, 120, 60))
    walker = replace(person(), upper=upper, bag="none")
    for facing in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        sprite = render_person(walker, replace(STANDING, facing=float(facing)), np.random.default_rng(0))
        chest = sprite.color[130:150][sprite.alpha[130:150] > 0]
        assert np.abs(np.median(chest, 0) - upper.color).max() < 40


def test_everybody_can_be_drawn() -> None:
    random = np.random.default_rng(0)
    for upper in UPPER_KINDS:
        for lower in LOWER_KINDS:
            for bag in BAGS:
                who = person(int(random.integers(1000)))
                who = replace(who, upper=replace(who.upper, kind=upper), lower=replace(who.lower, kind=lower), bag=bag)
                who = replace(who, hair_style=str(random.choice(list(HAIR_STYLES))))
                sprite = render_person(who, sample_pose(random, float(random.uniform(0, 6))), random)
                rows = np.flatnonzero(sprite.alpha.max(1))
                assert rows[-1] - rows[0] == pytest.approx(128 * who.height, rel=0.1)


def test_skeleton_stands_on_the_ground_and_turns() -> None:
    for phase in np.linspace(0, 6, 7):
        joints = stand(replace(STANDING, phase=float(phase), stride=0.5), 1.8, 1.0)
        feet = [joints[f"{side} ankle"][1] for side in ("left", "right")]
        assert max(feet) == pytest.approx(-0.035 * 1.8)
    front, side = stand(STANDING, 1.8, 1.0), stand(replace(STANDING, facing=np.pi / 2), 1.8, 1.0)
    assert front["left shoulder"][0] > 0.15  # who looks at us has the left side on our right
    assert side["left shoulder"][2] < -0.15  # who walks to our right has the left side behind
    assert side["left toe"][0] > side["left ankle"][0] + 0.1


def test_people_of_the_palette_are_not_told_apart_by_one_color() -> None:
    crowd = [person(seed) for seed in range(50)]
    colors = np.array([who.upper.color for who in crowd], float)
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart.min(1) < 25).mean() > 0.8
    assert len(set(crowd)) == 50


def test_projection_follows_the_rays() -> None:
    camera = Camera(1.0, 2.5, 0.3, 0.2, 400.0, SIZE, (1.0, 1.0, 1.0), 1.0, 0.0, 1.0)
    ray = camera.rays(1)[100, 300]
    pixel = camera.project(np.array([1.0, 2.5, 0.0]) + 0.02 * ray)
    np.testing.assert_allclose(pixel[:2], [300.5, 100.5], atol=1e-3)
    assert pixel[2] == pytest.approx(8.0)


def test_a_street_is_no_flat_image(stage: StaticScene) -> None:
    edges = cv2.Canny(stage.street.backdrop, 60, 120) > 0
    assert 0.02 < edges.mean() < 0.4
    assert len(np.unique(stage.street.backdrop.reshape(-1, 3) // 16, axis=0)) > 100
    assert stage.fixed
    assert stage.cars
