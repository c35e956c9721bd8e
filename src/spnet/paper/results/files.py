"""The files of a result: the same metrics as a page, for a paper, for programs, and as an image."""

from pathlib import Path

from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.paper.results.outcomes import Outcome, write_outcome
from spnet.paper.results.render import as_latex, as_markdown


def write_results(outcome: Outcome, folder: Path) -> list[Path]:
    """Write `<key>.md`, `.tex` and `.json`, and of a figure `.png` and `.pdf`; returns their paths.

    Each appears complete or not at all. Raises UserError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from None
    files = []
    for suffix, text in (("md", as_markdown(outcome)), ("tex", as_latex(outcome))):
        files.append(folder / f"{outcome.key}.{suffix}")
        with atomic_write(files[-1]) as stream:
            stream.write(text.encode())
    files.append(folder / f"{outcome.key}.json")
    write_outcome(files[-1], outcome)
    return files + (_draw(outcome, folder) if outcome.chart else [])


def _draw(outcome: Outcome, folder: Path) -> list[Path]:
    from spnet.paper.results.charts import save_chart  # matplotlib takes a second to load

    return save_chart(outcome, folder)
