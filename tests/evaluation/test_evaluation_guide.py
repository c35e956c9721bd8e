"""The example of docs/evaluation.md does what it says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spnet.evaluation.arrays import EvaluationArrays, read_arrays

GUIDE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_export_example_writes_a_detections_file(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    export: Callable[..., None] = names["export"]
    random = np.random.default_rng(0)
    annotation = {"scene": 3, "box": [0, 0, 40, 90], "person": 5, "id": 11, "embedding": random.standard_normal(128)}
    embedding = random.standard_normal(128)
    detection = {"scene": 4, "box": [1, 2, 30, 40], "score": 0.75, "embedding": embedding}
    export(tmp_path / "out.npz", [3, 4], [annotation], [detection, detection])
    arrays: EvaluationArrays = read_arrays(tmp_path / "out.npz")
    assert arrays.gt_iou_thresh.tolist() == [0.5]
    assert arrays.det_image.tolist() == [4, 4]
    np.testing.assert_allclose(arrays.det_emb[1], embedding, rtol=1e-6)
    export(tmp_path / "none.npz", [3], [annotation], [])
    assert read_arrays(tmp_path / "none.npz").det_emb.shape == (0, 128)
