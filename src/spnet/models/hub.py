"""Weights on the Hugging Face Hub: a model by its name, downloaded into the hub's cache, its SHA-256 checked.

What is fetched, cached and resumed, the login, `HF_ENDPOINT` and `HF_HUB_OFFLINE` are huggingface_hub's.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import HfApi, constants, errors, hf_hub_download

import spnet
from spnet.config.io import to_plain
from spnet.config.schema import ModelConfig, PathwayName
from spnet.errors import UserError
from spnet.files import read_json, write_json

PREFIX = "hf:"
LIBRARY = "spnet"
WEIGHTS_NAME = "weights.safetensors"  # of a finished run
HUB_WEIGHTS, HUB_CONFIG = constants.SAFETENSORS_SINGLE_FILE, constants.CONFIG_NAME
CHECKSUM = "sha256"
_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?")
_SHA256 = re.compile("[0-9a-f]{64}")
_CLIENT_ERROR: type[Exception] = errors.HfHubHTTPError.__bases__[0]  # which HTTP client it is depends on the release
_REASONS: dict[type[Exception], str] = {  # the first that fits counts
    errors.GatedRepoError: "its authors give access on request: ask on its page, then `hf auth login`",
    errors.RepositoryNotFoundError: "there is no such model, or it is private and needs `hf auth login`",
    errors.RevisionNotFoundError: "the model has no such revision (branch, tag or commit)",
    errors.LocalEntryNotFoundError: "not in the cache, and {endpoint} cannot be reached or is no hub{offline}",
    errors.EntryNotFoundError: f"the model lacks {HUB_CONFIG} or {HUB_WEIGHTS}: it is none of spnet",
    errors.OfflineModeIsEnabled: "{endpoint} cannot be reached{offline}",
    errors.HFValidationError: "{error}",
    errors.HfHubHTTPError: "refused by {endpoint}: {error} (is a login missing? `hf auth login`)",
    _CLIENT_ERROR: "{endpoint} broke off ({error}): the same command tries again",
    OSError: "{endpoint} broke off ({error}): the same command tries again",
}


@dataclass(frozen=True)
class HubName:
    """A model of the hub: `org/name`, and a branch, a tag or a commit of it, `main` if none is given."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def folder(self) -> str:
        """A folder's name that stands for the model."""
        return str(self).removeprefix(PREFIX).replace("/", "--")


def parse_hub_name(source: str | Path) -> HubName | None:
    """The model that `hf:org/name@revision` names; None for a path. Raises UserError for another text after `hf:`."""
    text = PurePath(source).as_posix()
    if not text.startswith(PREFIX):
        return None
    match = _NAME.fullmatch(text.removeprefix(PREFIX).lstrip("/"))
    if match is None:
        raise UserError(f"weights {text!r}: a model of the hub is named hf:org/name or hf:org/name@revision")
    return HubName(match["repo"], match["revision"])


def name_or_path(source: str | Path, revision: str | None = None) -> str | Path | HubName:
    """The path `source`, where there is something, else the model of the hub that `hf:org/name` or `org/name` names.

    Raises UserError for a revision of a path.
    """
    name = parse_hub_name(source)
    if name is None and not Path(source).exists() and _NAME.fullmatch(PurePath(source).as_posix()):
        name = parse_hub_name(f"{PREFIX}{PurePath(source).as_posix()}")
    if revision is None:
        return name or source
    if name is None:
        raise UserError(f"weights {str(source)!r}: a path has no revision {revision!r}, only a model on the hub has")
    return replace(name, revision=revision)


def find_weights(source: str | Path) -> Path:
    """The weights file that `source` names.

    Args:
        source: a finished run's folder, a model's folder as the hub has it, `hf:org/name` or `hf:org/name@revision` for
            a model on the hub itself, or the file.

    Raises:
        UserError: there is none, or that of the hub or of a model's folder is not what its config.json promises.
    """
    if (name := parse_hub_name(source)) is not None:
        return download(name)
    source = Path(source)
    file = source / WEIGHTS_NAME if source.is_dir() else source
    if source.is_dir() and not file.is_file() and (source / HUB_WEIGHTS).is_file():
        file = source / HUB_WEIGHTS
        check_download(file, str(source))
    if not file.is_file():
        hint = "the run is not finished" if source.is_dir() else "no such file"
        raise UserError(f"weights {str(file)!r}: {hint}")
    return file


def download(name: HubName, **options: Any) -> Path:
    """The weights file of a model in the hub's cache, all files of one commit; what is there is not fetched again.

    Args:
        name: the model; it is looked up again unless its revision is a commit.
        options: of `huggingface_hub.hf_hub_download`: token, cache_dir, force_download, local_files_only.

    Raises:
        UserError: no such model or revision, another library's, offline and not in the cache, a transfer that broke
            off, or another content than promised, which is then removed from the cache.
    """
    with hub_errors(str(name)):
        config = Path(hf_hub_download(name.repo, HUB_CONFIG, revision=name.revision, **options))
        _read_config(config, str(name))
        commit = config.parent.name
        file = Path(hf_hub_download(name.repo, HUB_WEIGHTS, revision=commit, **options))
    try:
        check_download(file, str(name))
    except UserError as error:
        blob = file.resolve()
        file.unlink()
        blob.unlink(missing_ok=True)
        raise UserError(f"{error}; removed from the cache, the same command downloads it again") from None
    return file


def pin(source: str) -> str:
    """The same weights for good: a name on the hub gets the commit that it stands for now. Raises UserError."""
    name = parse_hub_name(source)
    return source if name is None else str(replace(name, revision=download(name).parent.name))


def check_download(file: Path, origin: str) -> None:
    """Raise UserError unless a weights file has the SHA-256 that its config.json and the hub's cache say."""
    promised = {}
    if (config := file.parent / HUB_CONFIG).is_file():
        promised[HUB_CONFIG] = _read_config(config, origin).get(CHECKSUM)
    if file.is_symlink() and _SHA256.fullmatch(blob := file.readlink().name):
        promised["the hub"] = blob  # the name of a large file in the cache
    found = file_sha256(file) if any(promised.values()) else ""
    for witness, digest in promised.items():
        if digest and digest != found:
            raise UserError(
                f"weights {origin!r}: {file.name} has sha256 {found[:12]}, but {witness} says {digest[:12]}"
            )


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_hub_config(weights: Path, config: ModelConfig, pathway: PathwayName) -> None:
    """Write the config.json that belongs beside a weights file: architecture, pathway trained along, and SHA-256."""
    content = {"library_name": LIBRARY, "spnet_version": spnet.__version__, "pathway": pathway}
    write_json(weights.parent / HUB_CONFIG, {**content, "model": to_plain(config), CHECKSUM: file_sha256(weights)})


def _read_config(file: Path, origin: str) -> dict[str, Any]:
    content = read_json(file)
    if not isinstance(content, dict) or content.get("library_name") != LIBRARY:
        raise UserError(f"weights {origin!r}: not a model of spnet, going by its {HUB_CONFIG}")
    return content


def list_models(author: str | None = None) -> list[str]:
    """Names of the models on the hub that this package loads, those of one author if given. Raises UserError."""
    with hub_errors("list of models"):
        return sorted(model.id for model in HfApi().list_models(filter=LIBRARY, author=author))


@contextmanager
def hub_errors(subject: str) -> Iterator[None]:
    """Raise UserError, one line with what to do, for what huggingface_hub raises inside the block."""
    try:
        yield
    except tuple(_REASONS) as error:
        reason = next(text for kind, text in _REASONS.items() if isinstance(error, kind))
        offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        said = " ".join(str(error).split()) or type(error).__name__
        message = reason.format(endpoint=constants.ENDPOINT, offline=offline, error=said)
        raise UserError(f"{subject}: {message}") from error
