"""Find one person in a folder of images with a trained network.

    python examples/search_images.py RUN QUERY_IMAGE X1 Y1 X2 Y2 FOLDER

RUN is a run's folder or a weights file; the box is in pixels of the query image.
"""

import argparse
from pathlib import Path

from spnet import Searcher

SUFFIXES = (".jpg", ".jpeg", ".png")


def main() -> None:
    """Print the ten people most similar to the query."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("box", type=float, nargs=4)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    gallery = sorted(path for path in options.folder.iterdir() if path.suffix.lower() in SUFFIXES)
    searcher = Searcher.load(options.weights)
    (ranking,) = searcher.find(gallery, queries=[(options.query, options.box)])
    for image, box, similarity in zip(ranking.image[:10], ranking.boxes[:10], ranking.similarity[:10], strict=True):
        corners = " ".join(f"{number:.0f}" for number in box.tolist())
        print(f"{similarity:.3f}  {gallery[int(image)].name}  {corners}")


if __name__ == "__main__":
    main()
