"""`from spnet import …`: every public name is there, is lazily imported, and is seen with its type."""

import subprocess
import sys
from pathlib import Path

import pytest

import spnet

REVEALED = {
    "Searcher.load('run').detect(['a.jpg'])[0].boxes": "torch._tensor.Tensor",
    "SPNet(ModelConfig()).features": "spnet.models.fpn.FeatureMaps",
    "OIM(3, 4, 5).table": "torch._tensor.Tensor",
    "evaluate": "spnet.evaluation.retrieval.RetrievalResult",
    "get_preset('spnet-s', 'pretrain').model.heads": "Literal['shared'] | Literal['separate']",
    "override(RunConfig()).seed": "int",
}


@pytest.mark.parametrize("name", spnet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(spnet, name) is not None


def test_the_stub_lists_what_users_need() -> None:
    assert {"SPNet", "Searcher", "OIM", "evaluate", "ModelConfig", "RunConfig", "fit"} <= set(spnet.__all__)
    assert sorted(spnet.__all__) == spnet.__all__


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, spnet; spnet.UserError; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.split() == ["False", "False"]


def test_type_checkers_see_types(tmp_path: Path) -> None:
    """None of the public names is `Any`."""
    lines = [f"from spnet import {', '.join(spnet.__all__)}", *(f"reveal_type({code})" for code in REVEALED)]
    (tmp_path / "user.py").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    ended = subprocess.run(
        [*command, str(tmp_path / "user.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parents[1],  # whose settings and cache it uses
    )
    revealed = [line.partition("Revealed type is ")[2] for line in ended.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == len(REVEALED), ended.stdout
    for text, expected in zip(revealed, REVEALED.values(), strict=True):
        assert expected in text
        assert "Any" not in text
