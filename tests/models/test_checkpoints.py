"""Weights files: what goes in comes out, and what does not fit is told by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden import assert_golden
from miniature import make_batch, make_config, make_network
from spnet.config.io import to_plain
from spnet.config.schema import InferenceConfig, ModelConfig
from spnet.errors import UserError
from spnet.models.checkpoints import diff_state_dict, load_network, load_state, read_weights, save_weights
from spnet.models.hub import WEIGHTS_NAME
from spnet.models.inference import detect_all
from spnet.models.spnet import SPNet

SEPARATE = {"heads": "separate", "cascade_steps": 2, "reid_dim": 12}


@pytest.mark.parametrize("changes", [{}, SEPARATE, {"logit_norm": "batch", "logit_sign": "positive"}])
def test_a_network_comes_back(changes: dict[str, Any], tmp_path: Path) -> None:
    network = make_network(**changes, inference=InferenceConfig(max_detections=20)).eval()
    save_weights(tmp_path / "new" / "net.safetensors", network, "query")
    weights = read_weights(tmp_path / "new" / "net.safetensors")
    assert (weights.config, weights.pathway) == (read_back(network.config), "query")
    again = load_network(tmp_path / "new" / "net.safetensors")
    assert not again.training
    assert again.config == read_back(network.config)
    batch = make_batch()
    expected, found = (detect_all(net, net.features(batch.images, batch.sizes)) for net in (network, again))
    assert len(expected.boxes) > 0
    for name, column in vars(expected).items():
        assert torch.equal(getattr(found, name), column)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.safetensors"]


def read_back(config: ModelConfig) -> ModelConfig:
    """As a file gives it: tuples among free options become lists."""
    options = {name: list(value) for name, value in config.backbone.model_kwargs.items()}
    return replace(config, backbone=replace(config.backbone, model_kwargs=options))


def test_the_configuration_inside_is_plain_json(tmp_path: Path) -> None:
    network = make_network()
    save_weights(tmp_path / "net.safetensors", network, "object")
    with safe_open(tmp_path / "net.safetensors", "pt") as content:
        about = json.loads(content.metadata()["spnet"])
    assert len(about.pop("sha256")) == 64
    assert about == {"config": to_plain(network.config), "pathway": "object"}


def test_backbone_weights_are_not_fetched_again(tmp_path: Path) -> None:
    network = make_network()
    network.config = make_config(backbone=replace(network.config.backbone, weights="imagenet", name="convnext_tiny"))
    save_weights(tmp_path / "net.safetensors", network, "object")
    assert load_network(tmp_path / "net.safetensors").config.backbone.weights == "imagenet"


def test_the_classifier_is_left_out(tmp_path: Path) -> None:
    network = make_network(with_classifier=True)
    save_weights(tmp_path / "net.safetensors", network, "object")
    again = load_network(tmp_path / "net.safetensors").state_dict()
    assert set(again) < set(network.state_dict())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in again.items())


def test_an_unwritable_file_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(b"the old one")

    def fill_the_disk(state: object, metadata: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spnet.models.checkpoints.save", fill_the_disk)
    with pytest.raises(UserError, match=r"net\.safetensors: cannot be written: No space"):
        save_weights(file, make_network(), "object")
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]
    assert file.read_bytes() == b"the old one"


def test_a_run_is_read_from_its_folder_once_it_is_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{WEIGHTS_NAME}': the run is not finished"):
        read_weights(tmp_path)
    save_weights(tmp_path / WEIGHTS_NAME, make_network(), "object")
    assert read_weights(tmp_path).pathway == "object"


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.safetensors': no such file"):
        read_weights(tmp_path / "none.safetensors")
    for content in (b"", b"no safetensors", b"\xff" * 40):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.safetensors': not a safetensors file \(") as raised:
            read_weights(tmp_path / "bad.safetensors")
        assert "convert" not in str(raised.value)
    torch.save({"state_dict": {}}, tmp_path / "released.ckpt")
    with pytest.raises(UserError, match="a released checkpoint is read by `spnet convert`"):
        read_weights(tmp_path / "released.ckpt")
    save_weights(tmp_path / "cut.safetensors", make_network(), "object")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"cut\.safetensors': not a safetensors file"):
        read_weights(tmp_path / "cut.safetensors")


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """It changes nothing in the word `sha256`, without which a file is one of before checksums, and in the padding."""
    file = tmp_path / "net.safetensors"
    save_weights(file, make_network(), "object")
    whole, expected = file.read_bytes(), read_weights(file)
    harmless, generator = 0, np.random.default_rng(0)
    header = 8 * int.from_bytes(whole[:8], "little")
    for bit in [
        *generator.integers(0, header, 200).tolist(),
        *generator.integers(header, 8 * len(whole), 200).tolist(),
    ]:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            found = read_weights(file)
        except UserError:
            continue
        harmless += 1
        assert (found.config, found.pathway) == (expected.config, expected.pathway)
        assert found.state.keys() == expected.state.keys()
        assert all(torch.equal(value, found.state[name]) for name, value in expected.state.items())
    assert harmless < 4


def test_files_of_before_checksums_are_read(tmp_path: Path) -> None:
    network = make_network()
    about = {"config": to_plain(network.config), "pathway": "object"}
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "old.safetensors", {"spnet": json.dumps(about)})
    assert load_network(tmp_path / "old.safetensors").config == read_back(network.config)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"spnet": "{"}, {"spnet": "[]"}, {"spnet": "{}"}, {"spnet": '{"config": 3}'}]
)
def test_safetensors_without_our_configuration(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(UserError, match=r"other\.safetensors': a safetensors file without an spnet configuration"):
        read_weights(tmp_path / "other.safetensors")


def test_a_configuration_of_another_version_is_named(tmp_path: Path) -> None:
    about = {"config": to_plain(make_config()) | {"depth": 4}, "pathway": "object"}
    save_file({"weight": torch.zeros(3)}, tmp_path / "new.safetensors", {"spnet": json.dumps(about)})
    with pytest.raises(UserError, match=r"new\.safetensors.*unknown key depth"):
        read_weights(tmp_path / "new.safetensors")


def test_a_file_whose_tensors_contradict_its_configuration(tmp_path: Path) -> None:
    network = make_network()
    network.config = make_config(cascade_steps=1)
    save_weights(tmp_path / "odd.safetensors", network, "object")
    with pytest.raises(UserError, match=r"odd\.safetensors' do not fit: \d+ keys missing: bridges\.1") as raised:
        load_network(tmp_path / "odd.safetensors")
    assert "partial" not in str(raised.value)  # there is no such option where a network is only used


def test_what_does_not_fit_is_listed() -> None:
    network = make_network()
    state = dict(network.state_dict())
    del state["bridges.0.weight"], state["bridges.0.bias"]
    state |= {"extra": torch.zeros(1), "anchors.embed.bias": torch.zeros(3)}
    problems = (
        "2 keys missing: bridges.0.weight, bridges.0.bias; 1 keys unknown: extra; "
        "1 keys of another shape: anchors.embed.bias"
    )
    assert diff_state_dict(network.state_dict(), state) == problems
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match="weights 'here' do not fit: 2 keys missing") as raised:
        load_state(network, state, "here")
    assert str(raised.value) == f"weights 'here' do not fit: {problems}"
    with pytest.raises(UserError, match=r"\(--weights\.partial true loads what fits\)"):
        load_state(network, state, "here", partial=False)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_part_of_the_weights_with_counts() -> None:
    network, other = make_network(0), make_network(1)
    state = dict(other.state_dict()) | {"extra": torch.zeros(1), "anchors.embed.bias": torch.zeros(3)}
    line = load_state(network, state, "here", partial=True)
    total = len(state) - 1
    assert line.startswith(f"weights here: {total - 1} of {total} tensors loaded, 1 as made; 1 keys unknown: extra; ")
    loaded = network.state_dict()
    assert torch.equal(loaded["bridges.0.weight"], state["bridges.0.weight"])
    assert not torch.equal(loaded["anchors.embed.bias"], other.state_dict()["anchors.embed.bias"])


def test_keys_that_may_stay_fresh_are_no_problem() -> None:
    network = make_network()
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("boxes.")}
    count = len(network.state_dict())
    line = load_state(network, state, "here", lambda name: name.startswith("boxes."))
    assert line == f"weights here: {len(state)} of {count} tensors loaded, {count - len(state)} as made"


def test_long_lists_are_cut() -> None:
    own = {f"k{number}": torch.zeros(1) for number in range(30)}
    assert diff_state_dict(own, {}) == f"30 keys missing: {', '.join(list(own)[:8])}, ..."
    assert diff_state_dict(own, own) == ""


@pytest.mark.parametrize(("name", "changes"), [("shared", {}), ("separate", SEPARATE)])
def test_names_and_shapes_are_pinned(name: str, changes: dict[str, object]) -> None:
    state = SPNet(make_config(**changes)).state_dict()
    lines = [f"{key} {tuple(value.shape)}" for key, value in state.items()]
    assert_golden(Path(__file__).parent / f"state_dict_{name}.txt", "\n".join(lines) + "\n")
