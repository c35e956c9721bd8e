"""`spnet score`, as a person types it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from spnet.cli.main import main

CASE = Path(__file__).parent.parent / "parity" / "eval" / "small"
ARGUMENTS = ["score", str(CASE / "arrays.npz"), "--protocols", str(CASE / "protocols.json")]


def test_it_prints_and_writes_the_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    assert main([*ARGUMENTS, "--output", str(output)]) == 0
    assert "mAP = 34.10%" in capsys.readouterr().out
    protocols = json.loads(output.read_text())["protocols"]
    assert list(protocols) == ["listed", "per_query", "all"]
    assert protocols["all"]["detected"]["top1"] == pytest.approx(0.5925925925925926)


def test_one_protocol_in_several_sizes(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    options = ["--protocol", "all", "--gallery-sizes", "5, 39", "--mode", "corrected", "--output", str(output)]
    assert main([*ARGUMENTS, *options]) == 0
    document = json.loads(output.read_text())
    assert document["mode"] == "corrected"
    figures = {name: search["detected"]["mAP"] for name, search in document["protocols"].items()}
    assert list(figures) == ["all", "all@5", "all@39"]
    assert figures["all@5"] > figures["all"] == pytest.approx(figures["all@39"])


MISTAKES = [
    (["--protocol", "G100"], "--protocol G100: .*protocols.json has listed, per_query, all"),
    (["--gallery-sizes", "50,x"], "--gallery-sizes 50,x: 'x' is not a positive number of scenes"),
    (["--gallery-sizes", "0"], "'0' is not a positive number"),
    (["--gallery-sizes", ""], "'' is not a positive number"),
    (["--device", "abacus"], "--device abacus: "),
    (["--output", "/nowhere/out.json"], "/nowhere/out.json: cannot be written"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert main([*ARGUMENTS, *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("spnet score: error: ")
    assert re.search(message, error)


def test_a_damaged_record_is_named_and_nothing_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with np.load(CASE / "arrays.npz") as content:
        arrays = dict(content)
    arrays["det_score"][7] = np.nan
    np.savez(tmp_path / "bad.npz", **arrays)
    output = tmp_path / "out.json"
    command = ["score", str(tmp_path / "bad.npz"), "--protocols", str(CASE / "protocols.json"), "--output", str(output)]
    assert main(command) == 2
    assert f"det_score[7] (scene {arrays['det_image'][7]}) is nan: not finite" in capsys.readouterr().err
    assert not output.exists()
