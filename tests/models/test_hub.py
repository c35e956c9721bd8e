"""Weights by name: found, pinned, checked and kept, from a stand-in of the hub; and what can go wrong with each."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants, hf_hub_download

from hub_server import Files, Hub, serve_hub, use_hub
from miniature import make_network
from spnet import SPNet, list_models
from spnet.errors import UserError
from spnet.models.checkpoints import load_network, read_weights
from spnet.models.hub import HubName, download, find_weights, parse_hub_name, pin
from spnet.models.hub import list_models as list_hub

NAME = "org/tiny"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What `save_pretrained` writes."""
    folder = tmp_path_factory.mktemp("saved")
    make_network().save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("saved")
    make_network(seed=1).save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with serve_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with one model and an empty cache."""
    vars(server).update(vars(Hub(url=server.url)))
    server.commit(NAME, files)
    use_hub(server, tmp_path / "cache", monkeypatch)
    return server


def same(first: SPNet, second: SPNet) -> bool:
    return all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_model_comes_from_the_hub_its_folder_or_its_file(hub: Hub, files: Files, tmp_path: Path) -> None:
    expected = make_network()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for source in (NAME, f"hf:{NAME}", f"hf://{NAME}@main", tmp_path, tmp_path / "model.safetensors"):
        network = SPNet.from_pretrained(source)
        assert same(network, expected)
        assert not network.training
    assert same(load_network(Path(f"hf:{NAME}")), expected)  # as the command line gives it
    assert set(files) == {"README.md", "config.json", "model.safetensors"}


def test_the_pathway_stays_with_the_weights(tmp_path: Path) -> None:
    network = make_network()
    network.trained_pathway = "query"
    network.save_pretrained(tmp_path)
    assert read_weights(tmp_path).pathway == "query"
    assert SPNet.from_pretrained(tmp_path).trained_pathway == "query"
    assert json.loads((tmp_path / "config.json").read_text())["pathway"] == "query"


def test_what_is_in_the_cache_is_not_fetched_again(hub: Hub) -> None:
    first = find_weights(f"hf:{NAME}")
    hub.requests.clear()
    assert find_weights(f"hf:{NAME}") == first
    assert not [request for request in hub.requests if request.startswith("GET")]
    hub.requests.clear()
    assert find_weights(pin(f"hf:{NAME}")) == first
    hub.requests.clear()
    assert find_weights(f"hf:{NAME}@{first.parent.name}") == first
    assert hub.requests == []  # a commit is what it is


def test_revisions(hub: Hub, files: Files, other_files: Files) -> None:
    old = hub.branches[NAME, "main"]
    hub.branches[NAME, "v1"] = old
    pinned = pin(f"hf:{NAME}")
    assert pinned == f"hf:{NAME}@{old}"
    hub.commit(NAME, other_files)
    for source in (f"hf:{NAME}@v1", pinned):
        assert find_weights(source).read_bytes() == files["model.safetensors"]
    assert find_weights(f"hf:{NAME}").read_bytes() == other_files["model.safetensors"]
    assert same(SPNet.from_pretrained(NAME, revision="v1"), make_network())
    assert pin("runs/prw") == "runs/prw"


def test_files_of_one_commit(hub: Hub, files: Files, other_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that moves between two files mixes nothing."""

    def fetch_then_move(*arguments: Any, **options: Any) -> Any:
        fetched = hf_hub_download(*arguments, **options)
        hub.commit(NAME, other_files)
        return fetched

    monkeypatch.setattr("spnet.models.hub.hf_hub_download", fetch_then_move)
    assert find_weights(f"hf:{NAME}").read_bytes() == files["model.safetensors"]


MISSING = [
    ("hf:org/none", "hf:org/none: there is no such model, or it is private and needs `hf auth login`"),
    ("hf:org/tiny@v9", "hf:org/tiny@v9: the model has no such revision"),
    ("hf:org/bare", r"hf:org/bare: the model lacks config\.json or model\.safetensors: it is none of spnet"),
    ("hf:org/bert", r"weights 'hf:org/bert': not a model of spnet, going by its config\.json"),
    ("hf:org/broken", r"config\.json: not JSON"),
    ("hf:tiny", "a model of the hub is named hf:org/name or hf:org/name@revision"),
    ("hf:org/tiny@", "a model of the hub is named"),
    ("hf:org/-tiny-", "hf:org/-tiny-: .*-tiny-"),
]


@pytest.mark.parametrize(("source", "message"), MISSING)
def test_a_name_without_our_weights(hub: Hub, source: str, message: str) -> None:
    hub.commit("org/bare", {"README.md": b"nothing"})
    hub.commit("org/bert", {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"weights"})
    hub.commit("org/broken", {"config.json": b"{", "model.safetensors": b"weights"})
    with pytest.raises(UserError, match=message) as raised:
        find_weights(source)
    assert "\n" not in str(raised.value)
    assert not any(request.startswith("GET") and request.endswith("model.safetensors") for request in hub.requests)


def test_a_half_download_goes_on(hub: Hub, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # huggingface_hub waits before it tries again
    hub.cut = 1000
    with pytest.raises(UserError, match=r"hf:org/tiny: http\S+ broke off \(.*\): the same command tries again"):
        find_weights(f"hf:{NAME}")
    assert not list((tmp_path / "cache").rglob("model.safetensors"))
    hub.cut = None
    assert find_weights(f"hf:{NAME}").read_bytes() == files["model.safetensors"]


def test_a_wrong_checksum(hub: Hub, files: Files, tmp_path: Path) -> None:
    hub.damaged = True
    with pytest.raises(UserError, match=r"sha256 \w{12}, but config\.json says \w{12}; removed from the cache"):
        find_weights(f"hf:{NAME}")
    assert not list((tmp_path / "cache").rglob("model.safetensors"))
    hub.damaged = False
    assert find_weights(f"hf:{NAME}").read_bytes() == files["model.safetensors"]


def test_a_checksum_that_the_hub_alone_knows(hub: Hub, files: Files) -> None:
    config = json.loads(files["config.json"])
    del config["sha256"]
    hub.commit(NAME, {"config.json": json.dumps(config).encode()})
    hub.damaged = True
    with pytest.raises(UserError, match="but the hub says"):
        find_weights(f"hf:{NAME}")


def test_a_folder_with_other_weights(files: Files, other_files: Files, tmp_path: Path) -> None:
    for name, content in (files | {"model.safetensors": other_files["model.safetensors"]}).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors has sha256 \w+, but config\.json says"):
        SPNet.from_pretrained(tmp_path)


def test_weights_of_another_architecture(hub: Hub, tmp_path: Path) -> None:
    """A configuration inside that does not fit the tensors beside it."""
    network = make_network()
    network.config = make_network(heads="separate", cascade_steps=1).config
    network.save_pretrained(tmp_path)
    hub.commit("org/odd", {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()})
    with pytest.raises(UserError, match=r"do not fit: \d+ keys missing"):
        SPNet.from_pretrained("org/odd")


def test_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"not in the cache, and http\S+ cannot be reached .*\(HF_HUB_OFFLINE is set\)"):
        find_weights(f"hf:{NAME}")
    with pytest.raises(UserError, match=r"list of models: http\S+ cannot be reached \(HF_HUB_OFFLINE is set\)"):
        list_models()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    file = find_weights(f"hf:{NAME}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert find_weights(f"hf:{NAME}") == file
    assert same(SPNet.from_pretrained(NAME, local_files_only=True), make_network())
    assert hub.requests == []


CODE = "import sys; from spnet.models.hub import *; print(download(parse_hub_name(sys.argv[1])))"


def test_the_environment_names_mirror_and_cache(hub: Hub, files: Files, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE as a person sets them."""
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", CODE, f"hf:{NAME}"]
    for further in ({}, {"HF_HUB_OFFLINE": "1"}):
        hub.requests.clear()
        ended = subprocess.run(
            command, env=environment | further, capture_output=True, text=True, timeout=60, check=True
        )
        file = Path(ended.stdout.strip())
        assert file.is_relative_to(tmp_path / "home" / "hub")
        assert file.read_bytes() == files["model.safetensors"]
        assert bool(hub.requests) != bool(further)


def test_lists(hub: Hub, files: Files) -> None:
    hub.commit("lab/other", files)
    assert list_hub() == ["lab/other", NAME]
    assert list_models(author="lab") == ["lab/other"]


def test_names() -> None:
    assert parse_hub_name("runs/prw") is None
    assert parse_hub_name(Path("hf:org/name@v1.0")) == HubName("org/name", "v1.0")
    assert HubName("org/name", "v1").folder == "org--name@v1"
    with pytest.raises(UserError, match="a path has no revision 'v1'"):
        SPNet.from_pretrained("none.safetensors", revision="v1")
    with pytest.raises(UserError, match="no such file"):
        SPNet.from_pretrained("some/where/none.safetensors")


def test_push(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(seed=3)
    with pytest.raises(UserError, match=r"hf:me/mine: refused by http.*hf auth login"):
        network.push_to_hub("me/mine")
    assert "me/mine" not in hub.models
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    address = network.push_to_hub("me/mine", model_card_kwargs={"license": "mit"})
    assert re.fullmatch(rf"{hub.url}/me/mine/commit/\w+", address)
    assert same(SPNet.from_pretrained("me/mine"), network)
    card = hub.models["me/mine"][hub.branches["me/mine", "main"]]["README.md"].decode()
    assert "license: mit" in card
    assert 'Searcher.load("hf:me/mine")' in card
    network.push_to_hub("me/mine", branch="trial")
    assert download(HubName("me/mine", "trial")).is_file()
