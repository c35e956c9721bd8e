"""Linking against a search through all pairings, and in scenes where people cross."""

from itertools import permutations

import numpy as np
import pytest

from spnet.gallery.tracklets import Array, Linker, LinkingConfig, Track, buffered_iou, match, normalized

CONFIG = LinkingConfig()


def random_boxes(count: int, random: np.random.Generator) -> Array:
    corner = random.uniform(0, 100, (count, 2))
    return np.concatenate([corner, corner + random.uniform(5, 60, (count, 2))], 1).astype(np.float32)


def naive_iou(one: Array, other: Array, buffer: float) -> float:
    def enlarge(box: Array) -> list[float]:
        left, top, right, bottom = (float(side) for side in box)
        width, height = (right - left) * buffer, (bottom - top) * buffer
        return [left - width, top - height, right + width, bottom + height]

    a, b = enlarge(one), enlarge(other)
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("buffer", [0.0, 0.3])
def test_overlap_is_the_naive_one(buffer: float) -> None:
    random = np.random.default_rng(0)
    one, other = random_boxes(7, random), random_boxes(5, random)
    found = buffered_iou(one, other, buffer)
    for row in range(7):
        for column in range(5):
            assert found[row, column] == pytest.approx(naive_iou(one[row], other[column], buffer), abs=1e-5)
    assert buffered_iou(one, other[:0], buffer).shape == (7, 0)
    assert buffered_iou(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32), buffer)[0, 0] == 0


@pytest.mark.parametrize("seed", range(30))
def test_pairs_are_those_of_least_cost(seed: int) -> None:
    """Against every way to pair; a pair that is not allowed costs as much as any number of bad ones."""
    random = np.random.default_rng(seed)
    count, seen = random.integers(1, 5, 2).tolist()
    boxes, directions = (
        random_boxes(count + seen, random),
        normalized(random.normal(size=(count + seen, 3)).astype(np.float32)),
    )
    nothing = np.zeros(4, np.float32)
    tracks = [Track(row, 0.0, 0.0, boxes[row], nothing, directions[row]) for row in range(count)]
    found = match(tracks, 0.2, boxes[count:], directions[count:], CONFIG)

    def cost(row: int, column: int) -> float:
        overlap = naive_iou(boxes[row], boxes[count + column], CONFIG.buffer)
        similarity = float(directions[row] @ directions[count + column])
        if overlap < CONFIG.min_overlap or similarity < CONFIG.min_similarity:
            return 1e3
        return CONFIG.similarity_weight * (1 - similarity) + (1 - CONFIG.similarity_weight) * (1 - overlap)

    small, large = sorted((count, seen))
    ways = permutations(range(large), small)
    pairings = [[(row, way[row]) if count <= seen else (way[row], row) for row in range(small)] for way in ways]
    best = min(pairings, key=lambda pairs: sum(cost(*pair) for pair in pairs))
    assert sorted(found) == sorted(pair for pair in best if cost(*pair) < 1e3)


def crossing(linker: Linker, directions: Array, fps: float = 5.0) -> list[list[int]]:
    """Two people walk through one another; the numbers of the first and the second in each frame."""
    numbers = []
    for frame in range(int(4 * fps)):
        time = frame / fps
        left = np.array([10 + 40 * time, 20, 40 + 40 * time, 110], np.float32)
        right = np.array([170 - 40 * time, 22, 200 - 40 * time, 112], np.float32)
        order = [0, 1] if frame % 2 else [1, 0]
        boxes = np.stack([left, right])[order]
        found = linker.assign(time, boxes, directions[order])
        numbers.append([found[order.index(0)], found[order.index(1)]])
    return numbers


def test_people_who_cross_keep_their_numbers() -> None:
    numbers = crossing(Linker(), np.eye(2, 8, dtype=np.float32))
    assert {tuple(pair) for pair in numbers} == {tuple(numbers[0])}


def test_by_motion_alone_too() -> None:
    """Two people who look the same, who walk on as they walked."""
    same = np.ones((2, 1), np.float32)
    numbers = crossing(Linker(LinkingConfig(similarity_weight=0.0)), same)
    assert {tuple(pair) for pair in numbers} == {tuple(numbers[0])}


def test_a_track_is_split_where_its_embeddings_part() -> None:
    """One person walks behind a post, another comes out, at the same place."""
    linker, box = Linker(), np.array([[10, 10, 40, 100]], np.float32)
    directions = np.eye(2, 8, dtype=np.float32)
    before = [linker.assign(time, box, directions[:1])[0] for time in (0.0, 0.2, 0.4)]
    after = [linker.assign(time, box, directions[1:])[0] for time in (0.6, 0.8)]
    assert set(before) == {0}
    assert set(after) == {1}


def test_a_gap_is_bridged_and_a_long_one_is_not() -> None:
    direction = np.eye(1, 4, dtype=np.float32)

    def box(time: float) -> Array:
        return np.array([[10 + 50 * time, 10, 40 + 50 * time, 100]], np.float32)

    linker = Linker()
    for time in (0.0, 0.2, 0.4):
        linker.assign(time, box(time), direction)
    assert linker.close(1.4) == []
    assert linker.assign(1.4, box(1.4), direction) == [0]
    assert linker.close(1.4 + CONFIG.max_gap + 0.1) == [0]
    assert linker.assign(3.1, box(3.1), direction) == [1]


def test_a_track_is_cut_when_it_is_long() -> None:
    linker, box = Linker(LinkingConfig(max_length=1.0)), np.array([[10, 10, 40, 100]], np.float32)
    numbers = []
    for frame in range(11):
        linker.close(frame / 4)
        numbers += linker.assign(frame / 4, box, np.ones((1, 1), np.float32))
    assert numbers == [0] * 5 + [1] * 5 + [2]


def test_a_frame_without_people() -> None:
    linker = Linker()
    assert linker.assign(0.0, np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)) == []
    assert normalized(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
