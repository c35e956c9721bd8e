"""A run on the Hugging Face Hub: weights, config.json and a model card that says how they came to be."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from spnet.config.command import training_command
from spnet.config.schema import RunConfig
from spnet.data.schema import read_annotations
from spnet.errors import UserError
from spnet.evaluation.metrics_file import (
    EVALUATOR_VERSION,
    METRICS,
    EvaluatorMismatch,
    measured_protocols,
    read_metrics,
)
from spnet.models.checkpoints import read_weights
from spnet.models.hub import HUB_WEIGHTS, PREFIX, find_weights, hub_errors, parse_hub_name, write_hub_config
from spnet.models.model_card import Measurement, TrainedRun, make_model_card
from spnet.runs.folder import CONFIG_NAME, read_run_config, training_annotations
from spnet.runs.record import read_record

README = "README.md"


def push_run(
    source: str | Path,
    repo_id: str,
    license: str = "unknown",
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Upload a finished run in one commit; returns the commit's address.

    Args:
        source: the run's folder, or a weights file, of which the card then knows less.
        repo_id: `org/name`; made if it does not exist.
        license: of the weights, an identifier of the hub's.
        private: make the model visible to its owners alone; not given: as the owner's settings say.
        revision: branch to commit to; not given: `main`.
        token: login of the hub; not given: that of `hf auth login`.

    Raises:
        UserError: no finished run, a name that is none, or the hub refuses or cannot be reached.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model_folder(source, folder, repo_id, license)
        with hub_errors(f"{PREFIX}{repo_id}"):
            api = HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            message = f"Upload {Path(source).resolve().name}"
            commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message, revision=revision)
    return str(commit.commit_url)


def write_model_folder(source: str | Path, folder: Path, repo_id: str, license: str = "unknown") -> None:
    """Write what `push_run` uploads into an existing folder. Raises UserError as it does."""
    if (name := parse_hub_name(f"{PREFIX}{repo_id}")) is None or name.revision is not None:
        raise UserError(f"{repo_id!r}: a model's name has no revision; --revision names the branch to commit to")
    file = find_weights(source)
    weights = read_weights(file)
    runs = list(trained_runs(Path(source)))
    card = make_model_card(weights.config, weights.pathway, repo_id, license, runs, list(measurements(Path(source))))
    shutil.copyfile(file, folder / HUB_WEIGHTS)
    write_hub_config(folder / HUB_WEIGHTS, weights.config, weights.pathway)
    card.save(folder / README)


def trained_runs(source: Path) -> Iterator[TrainedRun]:
    """What a model card says of a run, after those that it started from; nothing of a weights file alone."""
    if not (source / CONFIG_NAME).is_file():
        return
    config, record = read_run_config(source), read_record(source)
    if config.weights.init_from:
        yield from trained_runs(Path(config.weights.init_from))
    name, data, command = source.resolve().name, describe_data(config), training_command(config)
    if record is None:
        yield TrainedRun(name, data, command)
    else:
        hardware = f"{record.hardware}, {record.seconds / 3600:.2f} hours, {record.steps:,} steps"
        yield TrainedRun(name, data, command, hardware, record.date, record.versions or {})


def describe_data(config: RunConfig) -> str:
    """Name and split of a run's data, with its counts where it is still there."""
    text = f"`{Path(config.data.root).name}`, split `{config.data.train_split}`"
    try:
        annotations = read_annotations(training_annotations(config))
    except UserError:
        return text
    people = len(set(annotations.person_ids[annotations.is_known].tolist()))
    counts = f"{len(annotations.scene_ids):,} images, {len(annotations.boxes):,} boxes, {people:,} identities"
    return f"{text}: {counts}"


def measurements(source: Path) -> Iterator[Measurement]:
    """All metrics of a run, as `spnet evaluate` wrote them. Raises UserError for a damaged file."""
    for file in sorted((source / "evaluation").glob(f"*/{METRICS}")):
        for protocol in measured_protocols(file):
            try:
                metrics, version = read_metrics(file, protocol), EVALUATOR_VERSION
            except EvaluatorMismatch as error:
                metrics, version = error.metrics, error.version
            yield Measurement(file.parent.name, protocol, metrics, version)
