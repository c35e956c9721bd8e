"""How autodoc shows this package's docstrings and types."""

import re

from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from spnet.inference.images import ImageLike

SHORTER = {
    re.escape(stringify_annotation(ImageLike, "smart")): "ImageLike",
    r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[([\w.~]+)\]\]": r"NDArray[\1]",
}


def shorten(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Write the names of type aliases, which annotations hold spelled out."""
    for pattern, alias in SHORTER.items():
        signature, result = (text and re.sub(pattern, alias, text) for text in (signature, result))
    return signature, result


def keep_colons(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Let napoleon take a field's string for text: what stands before a colon would be the field's type.

    An empty comment in the first line has no colon.
    """
    if what == "attribute":
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Connect. Called by Sphinx."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
