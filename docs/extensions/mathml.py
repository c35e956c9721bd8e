"""Formulas as MathML, which browsers show themselves: no script, no font, nothing loaded from elsewhere.

docutils converts them; Sphinx's own renderers need MathJax from a CDN, or LaTeX on the machine that builds.
"""

from typing import Any, NoReturn

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

logger = getLogger(__name__)


def write_inline(translator: HTML5Translator, node: nodes.math) -> NoReturn:
    """Write a formula in a line."""
    translator.body.append(_convert(node, as_block=False))
    raise nodes.SkipNode


def write_block(translator: HTML5Translator, node: nodes.math_block) -> NoReturn:
    """Write a formula on a line of its own, which scrolls where it is wider than the page."""
    translator.body.append(f'<div class="formula">{_convert(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _convert(node: nodes.math | nodes.math_block, as_block: bool) -> str:
    """Convert, or warn, which ends a build with -W."""
    try:
        return str(tex2mathml(node.astext(), as_block=as_block))
    except MathError as error:
        logger.warning("formula %s: %s", node.astext().strip(), error, location=node)
        return ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer. Called by Sphinx."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
