"""The skeleton: where a walking person's joints are, seen from any side.

Body axes: forward, left, up. Seen on the canvas: x to the right, y down, and depth towards the viewer, all in meters
with the origin on the ground between the feet.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# heights of the joints as shares of the stature, by the proportions of anthropometric tables
HIP, SHOULDER, _HEAD = 0.525, 0.815, 0.927
_THIGH, _SHANK, _UPPER_ARM, _FOREARM = 0.245, 0.24, 0.17, 0.15


@dataclass(frozen=True)
class Pose:
    """How a person stands in one image. `facing` in radians: 0 looks at the viewer, +90° to the right."""

    phase: float
    stride: float  # radians the thigh swings
    arm_swing: float
    elbow: float
    lean: float
    facing: float


def sample_pose(random: np.random.Generator, facing: float = 0.0) -> Pose:
    """A walking (mostly) or standing pose."""
    walking = random.random() < 0.8
    return Pose(
        phase=float(random.uniform(0, 2 * np.pi)),
        stride=float(random.uniform(0.25, 0.55) if walking else random.uniform(0, 0.08)),
        arm_swing=float(random.uniform(0.2, 0.6) if walking else random.uniform(0, 0.12)),
        elbow=float(random.uniform(0.1, 0.6) if random.random() < 0.85 else random.uniform(1.2, 1.9)),
        lean=float(random.uniform(-0.01, 0.05)),
        facing=facing,
    )


def stand(pose: Pose, height: float, build: float) -> dict[str, npt.NDArray[np.float64]]:
    """The joints of a person of `height` meters in `pose`, the lower foot on the ground, by name.

    Each is (x, y, depth) in meters as the viewer sees it: y is measured downwards, so heights are negative.
    """
    points: dict[str, npt.NDArray[np.float64]] = {}
    for side, left in (("left", 1.0), ("right", -1.0)):
        phase = pose.phase + (0.0 if side == "left" else np.pi)
        points |= _leg(side, left * 0.052 * height * build, pose, phase, height)
        points |= _arm(side, left * 0.122 * height * build, pose, phase + np.pi, height)
    lowest = min(points["left ankle"][2], points["right ankle"][2]) - 0.035 * height
    points["neck"] = np.array([pose.lean * height, 0, SHOULDER * height])
    points["head"] = np.array([1.2 * pose.lean * height + 0.012 * height, 0, _HEAD * height])
    points["hip"] = np.array([0, 0, HIP * height])
    drop = np.array([0, 0, lowest])
    return {name: turn(point - drop, pose.facing) for name, point in points.items()}


def _leg(side: str, left: float, pose: Pose, phase: float, height: float) -> dict[str, npt.NDArray[np.float64]]:
    swing = pose.stride * np.sin(phase)
    # the knee bends while its leg swings forward
    bend = 0.06 + 1.5 * pose.stride * max(0.0, np.cos(phase)) ** 1.5
    hip = np.array([0.0, left, HIP * height])
    knee = hip + _THIGH * height * np.array([np.sin(swing), 0.0, -np.cos(swing)])
    ankle = knee + _SHANK * height * np.array([np.sin(swing - bend), 0.0, -np.cos(swing - bend)])
    pitch = min(0.0, swing - bend) * 0.7
    toe = ankle + 0.105 * height * np.array([np.cos(pitch), 0.0, np.sin(pitch)]) + [0, 0.1 * left, -0.012 * height]
    return {f"{side} hip": hip, f"{side} knee": knee, f"{side} ankle": ankle, f"{side} toe": toe}


def _arm(side: str, left: float, pose: Pose, phase: float, height: float) -> dict[str, npt.NDArray[np.float64]]:
    swing = pose.arm_swing * np.sin(phase)
    shoulder = np.array([pose.lean * height, left, (SHOULDER - 0.018) * height])
    outward = 0.16 * np.sign(left)
    elbow = shoulder + _UPPER_ARM * height * np.array([np.sin(swing), outward, -np.cos(swing)])
    bent = swing + pose.elbow
    hand = elbow + _FOREARM * height * np.array([np.sin(bent), 0.0, -np.cos(bent)])
    return {f"{side} shoulder": shoulder, f"{side} elbow": elbow, f"{side} hand": hand}


def turn(points: npt.NDArray[np.float64], facing: float) -> npt.NDArray[np.float64]:
    """Points (..., 3) forward, left, up as the viewer sees them, (..., 3)."""
    forward, left, up = points[..., 0], points[..., 1], points[..., 2]
    cosine, sine = np.cos(facing), np.sin(facing)
    return np.stack([left * cosine + forward * sine, -up, forward * cosine - left * sine], -1)
