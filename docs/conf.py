"""How Sphinx makes the site of these pages: `make docs`."""

import sys
from pathlib import Path

import spnet

sys.path.insert(0, str(Path(__file__).parent / "extensions"))  # the last three

project = "spnet"
copyright = "the authors of spnet, MIT"
release = spnet.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "docstrings",
    "generated",
]
exclude_patterns = ["_build"]  # where `make docs` writes

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3  # links such as evaluation.md#the-two-modes

default_role = "literal"  # docstrings write code in single backticks
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
# the reference holds what `from spnet import ...` gives; annotations name other libraries' types and internal ones too
nitpick_ignore_regex = [("py:.*", r"(?!spnet\.).*"), ("py:.*", r"spnet\.\w+\..*")]

html_theme = "furo"
html_title = "spnet"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
