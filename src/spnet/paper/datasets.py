"""The data sets of the paper by name, and what a fine-tuning on each of them sets for itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from spnet.config.presets import with_values
from spnet.config.schema import RunConfig
from spnet.errors import UserError


@dataclass(frozen=True)
class BoxData:
    """Boxes to pre-train on.

    Args:
        key: what it is called on the command line.
        title: what the paper calls it.
        split: trained on, all of its boxes; subsets have names of their own.
    """

    key: str
    title: str
    split: str

    def pretraining(self, run: RunConfig, root: Path) -> RunConfig:
        """The run on this data; a recipe that asks for a subset keeps it."""
        split = self.split if run.data.train_split == "train" else run.data.train_split
        return with_values(run, "data", root=str(root), train_split=split)


@dataclass(frozen=True)
class SearchData(BoxData):
    """Scenes with identities, to fine-tune and test on.

    Args:
        queue_size: unknown persons that OIM remembers.
        test: the split and the retrieval protocol of the published metrics.
    """

    queue_size: int
    test: str = "test"

    def finetuning(self, run: RunConfig, root: Path) -> RunConfig:
        """The run on this data."""
        run = with_values(run, "objective", queue_size=self.queue_size)
        return with_values(run, "data", root=str(root), train_split=self.split)


# SOLIDER's weights (LUPerson), and the same fine-tuned on crops of COCOPersons: files that the user has
USER_WEIGHTS = ("solider", "solider-cocopersons")
COCOPERSONS = BoxData("cocopersons", "COCOPersons", "train")
CUHK_SYSU = SearchData("cuhk-sysu", "CUHK-SYSU", "trainval", 5000)
PRW = SearchData("prw", "PRW", "trainval", 500)
SYNTHETIC_BOXES = BoxData("synthetic", "synthetic scenes (boxes)", "pretrain")
SYNTHETIC = SearchData("synthetic", "synthetic scenes", "train", 256)


@dataclass(frozen=True)
class Sources:
    """Where the data lies.

    Args:
        boxes: the data of pre-training.
        search: the data of fine-tuning and test, by the paper's title; synthetic scenes stand for all of them.
        roots: prepared data sets by key.
        weights: files of backbone weights, by the names that rows have for them.
    """

    boxes: BoxData
    search: Mapping[str, SearchData]
    roots: Mapping[str, Path]
    weights: Mapping[str, Path] = field(default_factory=dict)

    def with_weights(self, run: RunConfig) -> RunConfig:
        """The run with the user's file for its backbone, if it starts from one. Raises UserError for one not given."""
        name = run.model.backbone.weights
        if name not in USER_WEIGHTS:
            return run
        if name not in self.weights:
            raise UserError(f"backbone weights {name!r} are not given: --backbone-weights {name}=FILE")
        if not self.weights[name].is_file():
            raise UserError(f"--backbone-weights {name}={self.weights[name]}: no such file")
        return with_values(run, "model", backbone=replace(run.model.backbone, weights=str(self.weights[name])))

    def root(self, data: BoxData) -> Path:
        """The folder of a data set. Raises UserError for one that was not named or is not prepared."""
        if data.key not in self.roots:
            raise UserError(f"data set {data.key!r} is not prepared: give --data {data.key}=DIR (see spnet prepare)")
        root = self.roots[data.key]
        if not (root / "annotations").is_dir():
            raise UserError(f"--data {data.key}={root}: no data set prepared by `spnet prepare` is there")
        return root


def real_sources(roots: Mapping[str, Path]) -> Sources:
    """COCOPersons, CUHK-SYSU and PRW."""
    return Sources(COCOPERSONS, {data.title: data for data in (CUHK_SYSU, PRW)}, roots)


def synthetic_sources(root: Path) -> Sources:
    """Synthetic scenes in the place of all of them."""
    titles = (CUHK_SYSU.title, PRW.title, SYNTHETIC.title)
    return Sources(SYNTHETIC_BOXES, dict.fromkeys(titles, SYNTHETIC), {SYNTHETIC.key: root})
