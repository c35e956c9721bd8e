"""`spnet convert`: the authors' checkpoints become weights files of ours, whole, or a line says why not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spnet.cli.main import main
from spnet.models import convert
from spnet.models.checkpoint_conversion import released_to_ours
from spnet.models.checkpoints import load_network, read_weights
from spnet.models.spnet import SPNet

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta")

PARITY = Path(__file__).parents[1] / "parity"
KEYS: dict[str, dict[str, list[int]]] = json.loads((PARITY / "released_state_dict_keys.json").read_text())


def make_state(name: str, bridge: float = 0.0) -> dict[str, Tensor]:
    """Tensors of the released shapes; each is one number repeated, its place in the file: they take no memory."""
    state = {}
    for place, (key, shape) in enumerate(KEYS[name].items()):
        value = bridge if "bridge_layer" in key else 1 + place / len(KEYS[name])
        state[key] = torch.full((), value).expand(shape)
    return state


def save(file: Path, state: dict[str, Tensor]) -> Path:
    """As Lightning does."""
    torch.save({"state_dict": state, "epoch": 29, "global_step": 1, "hyper_parameters": {"lr": 1e-4}}, file)
    return file


def run(source: Path, output: Path, *options: str) -> int:
    return main(["convert", str(source), str(output), *options])


def test_spnet_s_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.rand(shape, generator=generator) if shape else torch.zeros((), dtype=torch.int64)
        for name, shape in KEYS["spnet_s_finetune_oc"].items()
    }
    source = save(tmp_path / "released.ckpt", state)
    assert run(source, tmp_path / "net.safetensors") == 0
    printed = capsys.readouterr().out
    assert "0 as made; convnext_tiny, shared heads, 0 cascade steps, D 128, E 128, object-centric -> " in printed
    weights = read_weights(tmp_path / "net.safetensors")
    assert weights.pathway == "object"
    expected = released_to_ours(state)
    network = load_network(tmp_path / "net.safetensors")
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors", "released.ckpt"]


EXPECTED = {
    "spnet_s_pretrain_qc": "convnext_tiny, shared heads, 0 cascade steps, D 128, E 128, query-centric",
    "spnet_s_finetune_oc": "convnext_tiny, shared heads, 0 cascade steps, D 128, E 128, query-centric",
    "spnet_l_finetune_oc": "convnext_base, separate heads, 2 cascade steps, D 128, E 2048, query-centric",
    "resnet50_cascade": "resnet50, separate heads, 2 cascade steps, D 128, E 2048, query-centric",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_all_released_configurations(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real command; only the gigabytes are left out: nothing is initialised, copied or written."""
    written: dict[str, object] = {}
    monkeypatch.setattr(convert, "SPNet", on_no_device(SPNet))
    monkeypatch.setattr(
        convert, "save_weights", lambda file, network, pathway: written.update(file=file, pathway=pathway)
    )
    source = save(tmp_path / "released.ckpt", make_state(name))
    assert run(source, tmp_path / "net.safetensors") == 0
    printed = capsys.readouterr().out
    assert f" 0 as made; {EXPECTED[name]} -> " in printed
    assert written == {"file": tmp_path / "net.safetensors", "pathway": "query"}


def on_no_device(kind: type) -> object:
    """Networks with shapes and no numbers."""

    def make(*arguments: object) -> object:
        with torch.device("meta"):
            return kind(*arguments)

    return make


def test_the_path_is_told_from_the_bridge_or_by_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths: list[str] = []
    monkeypatch.setattr(convert, "SPNet", on_no_device(SPNet))
    monkeypatch.setattr(convert, "save_weights", lambda file, network, path: paths.append(path))
    zero = save(tmp_path / "zero.ckpt", make_state("spnet_s_pretrain_qc"))
    learnt = save(tmp_path / "learnt.ckpt", make_state("spnet_s_pretrain_qc", bridge=0.1))
    for source, options in (
        (zero, []),
        (learnt, []),
        (zero, ["--pathway", "object"]),
        (learnt, ["--pathway", "query"]),
    ):
        assert run(source, tmp_path / "net.safetensors", *options) == 0
    assert paths == ["query", "object", "object", "query"]


def test_the_sign_is_an_option(tmp_path: Path) -> None:
    source = save(tmp_path / "released.ckpt", make_state("spnet_s_finetune_oc"))
    assert run(source, tmp_path / "positive.safetensors", "--logit-sign", "positive") == 0
    assert read_weights(tmp_path / "positive.safetensors").config.logit_sign == "positive"


def assert_refused(source: Path, message: str, capsys: pytest.CaptureFixture[str], output: Path | None = None) -> None:
    output = output or source.parent / "net.safetensors"
    before = sorted(source.parent.iterdir())
    assert run(source, output) == 2
    error = capsys.readouterr().err
    assert error.startswith("spnet convert: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert sorted(source.parent.iterdir()) == before


def test_a_backbone_that_was_never_released(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(PARITY / "model" / "train_oc_oim.weights.npz") as arrays:
        state = {f"model.{name}": torch.from_numpy(arrays[name]) for name in arrays.files}
    source = save(tmp_path / "miniature.ckpt", state)
    message = (
        "miniature.ckpt' has an unknown backbone (family, width, blocks of stage 3) = ('convnext', 8, 1); known: ["
    )
    assert_refused(source, message, capsys)


def test_checkpoints_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = make_state("spnet_s_finetune_oc")
    less = {name: value for name, value in state.items() if not name.startswith("model.head.regression_head")}
    source = save(tmp_path / "less.ckpt", less)
    assert_refused(source, "less.ckpt' do not fit: 10 keys missing: boxes.0.mlp.0.weight, boxes.0.mlp.0.bias", capsys)
    source = save(tmp_path / "more.ckpt", state | {"model.head.second_head.weight": torch.zeros(1)})
    message = "more.ckpt' is no released SPNet checkpoint: 1 unknown keys, e.g. ['head.second_head.weight']"
    assert_refused(source, message, capsys)
    name = next(name for name in state if name.endswith("emb_pred.weight"))
    source = save(tmp_path / "other.ckpt", state | {name: torch.zeros(7, 384, 3, 3)})
    assert_refused(source, "other.ckpt' do not fit: 1 keys of another shape: anchors.embed.weight", capsys)


def test_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(tmp_path / "none.ckpt", "none.ckpt': no such file", capsys)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    assert_refused(tmp_path / "text.ckpt", "text.ckpt': not a readable weights file", capsys)
    source = save(tmp_path / "resnet.ckpt", {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    assert_refused(source, "resnet.ckpt' is no released SPNet checkpoint: it has no 'head.bridge_layer", capsys)
    torch.save([1, 2], tmp_path / "list.ckpt")
    assert_refused(tmp_path / "list.ckpt", "list.ckpt': holds no table of named tensors", capsys)


def test_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path / "released.ckpt", {})
    (tmp_path / "there.safetensors").write_text("precious")
    assert_refused(source, "there.safetensors' exists; choose another file", capsys, tmp_path / "there.safetensors")
    assert (tmp_path / "there.safetensors").read_text() == "precious"
    assert_refused(source, "net.pth' must end in .safetensors", capsys, tmp_path / "net.pth")


def test_the_gallery_filter_is_left_out_with_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Released checkpoints can hold that of an earlier paper, off in every configuration."""
    state = make_state("spnet_s_pretrain_qc")
    state |= {"model.head.gfn.lut": torch.zeros(3), "model.head.gfn.projector.weight": torch.zeros(2, 2)}
    assert run(save(tmp_path / "gfn.ckpt", state), tmp_path / "net.safetensors") == 0
    assert "; 2 tensors of the gallery filter (head.gfn.*) left out; convnext_tiny" in capsys.readouterr().out
