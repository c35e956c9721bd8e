"""The report of an evaluation as one page that opens from disk: figures, loss curves, and who was found, in images.

Everything is inside the file: images as JPEG data, curves as SVG, no script. So it can be sent and kept.
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from spnet.files import atomic_write
from spnet.reports.context import MEANINGS, ReportContext
from spnet.reports.curves import Panel, plot_curves
from spnet.reports.scenes import scenes_section
from spnet.reports.searches import searches_section

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def write_report_page(path: Path, subject: ReportContext) -> None:
    """Write the page; it appears complete or not at all.

    Raises UserError where an image cannot be read, the detections are of other scenes than the annotations, or the
    file cannot be written.
    """
    page = report_page(subject)
    with atomic_write(path) as stream:
        stream.write(page.encode())


def report_page(subject: ReportContext) -> str:
    """The page as HTML. Raises UserError as `write_report_page` does."""
    sections = [
        _header(subject),
        _figures_section(subject),
        _curves_section(subject.panels),
        searches_section(subject.annotations, subject.protocol_name, subject.protocol, subject.measured),
        scenes_section(subject.annotations, subject.measured[0]),
        f"<footer><p>{escape(subject.closing)}</p></footer>" if subject.closing else "",
    ]
    style = files("spnet.reports").joinpath("report.css").read_text()
    return PAGE.format(title=escape(subject.title), style=style, body="\n".join(sections))


def _header(subject: ReportContext) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in subject.facts.items()
    )
    title, lead = escape(subject.title), escape(subject.lead)
    return f'<header><h1>{title}</h1><p class="lead">{lead}</p><dl class="facts">{facts}</dl></header>'


def _figures_section(subject: ReportContext) -> str:
    columns = [measured.figures(subject.protocol_name) for measured in subject.measured]
    compared = len(columns) == 2
    names = "".join(f"<th>{escape(measured.name)}</th>" for measured in subject.measured)
    gap = "<th>difference</th>" if compared else ""
    heading = f'<tr><th></th>{names}{gap}<th class="what">what it says</th></tr>'
    rows = []
    for figure, meaning in MEANINGS.items():
        values = [column[figure] for column in columns]
        cells = "".join(
            f'<td class="value">{value:.1%}<span class="bar"><i style="width:{value:.1%}"></i></span></td>'
            for value in values
        )
        gain = f'<td class="gain">{100 * (values[0] - values[1]):+.1f} points</td>' if compared else ""
        rows.append(f'<tr><th>{figure}</th>{cells}{gain}<td class="what">{meaning}</td></tr>')
    queries, scenes = len(subject.protocol.queries), len(subject.annotations.scene_ids)
    boxes = len(subject.annotations.boxes)
    counts = f"protocol {subject.protocol_name}: {queries:,} queries; {scenes:,} scenes with {boxes:,} annotated people"
    table = f"<table><thead>{heading}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<section><h2>Figures</h2><p class="soft">{escape(counts)}</p>{table}</section>'


def _curves_section(panels: Sequence[Panel]) -> str:
    drawn = [panel for panel in panels if any(len(curve.steps) for curve in panel.curves.values())]
    if not drawn:
        return ""
    note = "The loss in training, all parts summed: single steps faint, their running mean strong."
    curves = f'<div class="curves">{plot_curves(drawn)}</div>'
    return f'<section><h2>Loss curves</h2><p class="soft">{note}</p>{curves}</section>'
