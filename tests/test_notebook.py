"""examples/colab.ipynb runs, at small scale."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "colab.ipynb"
SMALL = {
    "SCENES, PEOPLE, EPOCHS = 150, 30, 20": "SCENES, PEOPLE, EPOCHS = 12, 4, 1",
    'keys = ["--data.root"': 'keys = ["--data.augmentation.crop_size", "64", "--data.root"',
}


def code_cells() -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def code_to_run() -> list[str]:
    """The code of all cells but the installation."""
    return ["".join(cell["source"]) for cell in code_cells() if "not-tested" not in cell["metadata"].get("tags", [])]


def test_outputs_are_not_kept() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells())


def test_cells_compile_and_what_they_import_is_there() -> None:
    code = "\n".join(code_to_run())
    compile(code, str(NOTEBOOK), "exec")
    imports = re.findall(r"^from (spnet[\w.]*) import (.+)$", code, re.MULTILINE)
    assert len(imports) == code.count("from spnet")
    for module, names in imports:
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_what_is_made_smaller_is_there() -> None:
    code = "\n".join(code_to_run())
    assert [said for said in SMALL if said not in code] == []


@pytest.mark.full
def test_it_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat and nbclient run notebooks: the extra [dev]")
    nbclient = pytest.importorskip("nbclient", reason="nbformat and nbclient run notebooks: the extra [dev]")
    cells = []
    for source in code_to_run():
        for said, run in SMALL.items():
            source = source.replace(said, run)
        cells.append(nbformat.v4.new_code_cell(source))
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    assert "mAP" in printed
    images = [output for cell in notebook.cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(images) == 2
