"""Find one person in a folder of images with ONNX Runtime, NumPy and Pillow alone.

    python examples/onnx_search.py MODEL.onnx QUERY_IMAGE X1 Y1 X2 Y2 FOLDER

MODEL.onnx is made by `spnet export RUN`; the box is in pixels of the query image. Prints similarity, file, box.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

model, query, *corners, folder = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
about = json.loads(session.get_modelmeta().custom_metadata_map["spnet"])
height, width = about["window"]


def look(file: str | Path, boxes: Any) -> dict[str, Any]:
    """The people of an image, and the embeddings of given boxes (n, 4), pixels xyxy."""
    image = Image.open(file).convert("RGB")
    scale = min(height / image.height, width / image.width)
    view = image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.BILINEAR)
    images = np.zeros((1, 3, height, width), np.uint8)
    images[0, :, : view.height, : view.width] = np.asarray(view).transpose(2, 0, 1)
    inputs = {
        "images": images,
        "sizes": np.array([[view.height, view.width]]),
        "score_threshold": np.array(about["score_threshold"], np.float32),
        "given_boxes": np.insert(scale * np.reshape(boxes, (-1, 4)), 0, 0, axis=1).astype(np.float32),
    }
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs), strict=True))
    return found | {"boxes": found["boxes"] / scale}


target = look(query, [[float(corner) for corner in corners]])["given_embeddings"][0]
ranking = []
for file in sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")):
    people = look(file, [])
    lengths = np.linalg.norm(people["embeddings"], axis=1) * np.linalg.norm(target)
    cosines = people["embeddings"] @ target / lengths
    ranking += [(cosine, file.name, box) for cosine, box in zip(cosines, people["boxes"], strict=True)]
for cosine, name, box in sorted(ranking, key=lambda entry: -entry[0])[:10]:
    print(f"{cosine:.3f}  {name}  {' '.join(f'{side:.0f}' for side in box)}")
