"""A walk through rendered streets: people cross the view of two cameras, one after the other, as two videos.

Every person passes one camera and comes past the other a little later, so that a search has something to find.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from spnet.data.video import VideoWriter
from spnet.errors import UserError
from spnet.files import atomic_directory, check_output_is_free
from spnet.progress import show_progress
from spnet.synthetic.camera import ImageArray, Spot, camera_response
from spnet.synthetic.identity import Identity, sample_identity
from spnet.synthetic.layers import Layer
from spnet.synthetic.light import sample_light
from spnet.synthetic.placing import in_view
from spnet.synthetic.pose import Pose, sample_pose
from spnet.synthetic.scenario import PERSON, SIZE, STREET, ZOOM
from spnet.synthetic.scene import (
    MIN_VISIBLE_SHARE,
    StaticScene,
    build_static_scene,
    paint,
    stand_person,
    visible_shares,
)

CAMERAS = ("gate", "yard")
FPS = 10
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()  # the clock at the videos' first frame
BOXES = "people.csv"  # who is where
WALK = 7  # number of this scenario among a seed's generators of people and streets
SPEED = (1.1, 1.6)  # meters a second
STRIDE = 1.5  # meters a full step takes
NEAREST = 4.0  # meters
LANES = 400  # tries to find a lane in view
# shares of the length of the videos: the last begin, a passage at most, and from one camera to the other; the sum of
# the first, two passages and the last is below 1, so that everybody passes both
LAST_BEGIN, PASSAGE, BETWEEN = 0.3, 0.28, (0.03, 0.1)


@dataclass(frozen=True)
class Passage:
    """One person crossing the view of one camera, on a straight lane along the street."""

    person: int
    camera: int
    first: float  # seconds
    last: float
    x: float  # meters
    z: float  # where it begins
    velocity: float  # meters a second along the street, negative towards the camera
    pose: Pose

    def spot(self, time: float) -> Spot:
        """Where the person is."""
        return self.x, self.z + self.velocity * (time - self.first)


@dataclass(frozen=True)
class Sighting:
    """One person in one frame of a walk."""

    camera: str
    time: float  # seconds
    person: int
    box: tuple[int, int, int, int]  # pixels xyxy


def read_walk(folder: Path) -> list[Sighting]:
    """Who is where in a walk, by camera and time. Raises UserError where `prepare_walk` did not write it."""
    try:
        with (folder / BOXES).open(newline="") as stream:
            return [
                Sighting(camera, float(time), int(person), (int(left), int(top), int(right), int(bottom)))
                for camera, time, person, left, top, right, bottom in list(csv.reader(stream))[1:]
            ]
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / BOXES}: {error}") from None


def prepare_walk(output: Path, seconds: float = 24.0, people: int = 6, seed: int = 0) -> list[Path]:
    """Render two videos of `people` who each pass both, into the new folder `output` with a CSV of who is where.

    Returns the videos. Raises UserError for a length or a number that makes no walk, a negative seed, an `output` that
    is taken, and without PyAV.
    """
    if not 10 <= seconds <= 3600:
        raise UserError(f"--seconds {seconds:g}: must be 10 to 3600")
    if not 1 <= people <= 200:
        raise UserError(f"--people {people}: must be 1 to 200")
    if seed < 0:
        raise UserError(f"--seed {seed}: it must be 0 or more")
    check_output_is_free(output)
    streets = [build_static_scene(np.random.default_rng([seed, STREET, WALK, row]), SIZE, ZOOM) for row in range(2)]
    identities = [sample_identity(np.random.default_rng([seed, PERSON, WALK, row])) for row in range(people)]
    passages = plan(streets, seconds, people, np.random.default_rng([seed, WALK]))
    with atomic_directory(output) as folder, (folder / BOXES).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("camera", "time", "person", "left", "top", "right", "bottom"))
        for row, name in enumerate(CAMERAS):
            mine = [passage for passage in passages if passage.camera == row]
            frames = render_walk(streets[row], identities, mine, seconds, seed + row)
            with VideoWriter(folder / f"{name}.mp4", FPS, START) as video:
                for time, image, boxes in show_progress(frames, f"rendering {name}", round(seconds * FPS)):
                    video.write(image)
                    table.writerows((name, f"{time:.1f}", person, *box) for person, box in boxes)
    return [output / f"{name}.mp4" for name in CAMERAS]


def plan(streets: Sequence[StaticScene], seconds: float, people: int, random: np.random.Generator) -> list[Passage]:
    """When and where everybody passes: first one camera, then the other."""
    passages = []
    for person in range(people):
        order = (0, 1) if person % 2 == 0 else (1, 0)
        begin = seconds * LAST_BEGIN * (person + random.uniform(0, 1)) / people
        for camera in order:
            passage = _lane(streets[camera], person, camera, begin, seconds, random)
            passages.append(passage)
            begin = passage.last + seconds * random.uniform(*BETWEEN)
    return passages


def render_walk(
    static_scene: StaticScene, identities: Sequence[Identity], passages: Sequence[Passage], seconds: float, seed: int
) -> Iterator[tuple[float, ImageArray, list[tuple[int, list[int]]]]]:
    """Frames (H, W, 3) of one camera with their seconds, and the boxes (pixels xyxy) of the people to be seen."""
    street, camera = static_scene.street, static_scene.street.camera
    light = sample_light(street, np.random.default_rng(seed))
    for frame in range(round(seconds * FPS)):
        time = frame / FPS
        here = {passage.person: passage for passage in passages if passage.first <= time <= passage.last}
        layers = {person: _stand(static_scene, identities[person], passage, time) for person, passage in here.items()}
        visible = visible_shares(camera.size, layers, static_scene.fixed)
        shown = [person for person in layers if visible[person] >= MIN_VISIBLE_SHARE]
        image = paint(static_scene, light, [*static_scene.fixed, *layers.values()])
        grain = np.random.default_rng(seed)  # it stands still, and files stay small
        boxes = [(person, layers[person].box(camera.size)) for person in shown]
        yield time, camera_response(camera, image, light.warmth, light.brightness, grain), boxes


def _lane(
    static_scene: StaticScene, person: int, camera: int, begin: float, seconds: float, random: np.random.Generator
) -> Passage:
    """A lane in view of a camera, on the road or along the houses; the longest of those sampled."""
    street, x, near, far, most = static_scene.street, 0.0, 0.0, 0.0, 0.0
    along = np.arange(2.0, 18.0, 0.25)
    for _ in range(LANES):
        side, on_road = float(random.choice([-1.0, 1.0])), random.random() < 0.5
        edges = (0.2, street.road - 0.6) if on_road else (street.road + 1.2, street.wall - 0.4)
        aside = side * random.uniform(*edges)
        seen = along[in_view(street, aside, along, NEAREST)].tolist()
        if seen and (length := (seen[-1] - seen[0]) * random.uniform(0.6, 1)) > most:
            x, near, far, most = aside, seen[0], seen[-1], length
    if not most:
        raise UserError("no lane of this street is in view of its camera; choose another --seed")
    away, speed = random.random() < 0.5, random.uniform(*SPEED)
    far = min(far, near + speed * seconds * PASSAGE)
    last = begin + (far - near) / speed
    start, velocity = (near, speed) if away else (far, -speed)
    return Passage(person, camera, begin, last, x, start, velocity, sample_pose(random))


def _stand(static_scene: StaticScene, identity: Identity, passage: Passage, time: float) -> Layer:
    heading = 0.0 if passage.velocity > 0 else np.pi
    phase = passage.pose.phase + 2 * np.pi * abs(passage.velocity) * (time - passage.first) / STRIDE
    pose = replace(passage.pose, phase=float(phase), stride=max(passage.pose.stride, 0.35))
    random = np.random.default_rng([WALK, passage.person])
    return stand_person(static_scene.street.camera, identity, passage.spot(time), heading, pose, random)
