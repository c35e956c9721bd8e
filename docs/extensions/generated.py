"""Parts of pages that are made when the site is built: every key of the configuration, and pages no list names."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import yaml
from sphinx.application import Sphinx

from spnet import RunConfig, get_preset
from spnet.config.io import describe_keys, to_plain


def key_lists() -> Iterator[str]:
    """Yield the lines of a definition list for each group of keys, with the values of SPNet-S."""
    rows = sorted(describe_keys(RunConfig), key=lambda row: row[0].rpartition(".")[0])
    for group, keys in groupby(rows, lambda row: row[0].rpartition(".")[0]):
        yield from (f"## {group or 'run'}", "")
        for key, kind, description in keys:
            yield from (f"`{key}` = `{value_of(key)}`", f": {description} ({kind})", "")


def value_of(key: str) -> str:
    """What the preset says, as YAML writes it."""
    value: Any = to_plain(get_preset("spnet-s", "finetune"))
    for part in key.split("."):
        value = value[part]
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


def fill_in(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace the placeholders of two pages. Called by Sphinx for each page it reads."""
    if name == "index":
        listed = {"index", *re.findall(r"^[\w/]+$", source[0], re.MULTILINE)}
        source[0] = source[0].replace("EVERY OTHER PAGE", "\n".join(sorted(app.env.found_docs - listed)))
    elif name == "configuration":
        source[0] = source[0].replace("EVERY KEY", "\n".join(key_lists()))


def setup(app: Sphinx) -> None:
    """Connect. Called by Sphinx."""
    app.connect("source-read", fill_in)
