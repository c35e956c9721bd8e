"""Plans: each training once, found by what it depends on wherever it lies, and what cannot be made said by name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fake_runs import begin, damage, diverge, fail, finish, finish_all, interrupt
from miniature_scale import make_synthetic_data, miniature_scale, write_classifier
from spnet.config.schema import RunConfig
from spnet.paper.datasets import real_sources, synthetic_sources
from spnet.paper.figures import PAPER_TABLES, get_table
from spnet.paper.paper_table import Scale
from spnet.paper.plan import Plan, Training, make_plan, own_columns
from spnet.paper.recipes import Recipe
from spnet.paper.reproduce import only_rows
from spnet.runs.index import RunIndex, RunState


def plan_of(key: str, scale: Scale, data: Path, seeds: tuple[int, ...] = (0,), rows: tuple[str, ...] = ()) -> Plan:
    one = get_table(key)
    return make_plan(only_rows(one, rows) if rows else one, scale, synthetic_sources(data), seeds)


def digests(plan: Plan) -> list[str]:
    return [run.fingerprint for run in plan.trainings()]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """COCOPersons, CUHK-SYSU and PRW by their keys on the command line, as small as the drawn data and all the same."""
    folder = tmp_path_factory.mktemp("released")
    data = make_synthetic_data(folder)
    shutil.copy(data / "annotations" / "train.json", data / "annotations" / "trainval.json")
    return dict.fromkeys(("cocopersons", "cuhk-sysu", "prw"), data)


def test_a_shared_pretraining_is_planned_once_and_first(miniature: Scale, synthetic_data: Path) -> None:
    plan = plan_of("table8", miniature, synthetic_data, (0, 1))
    runs = plan.trainings()
    before = [run for run in runs if run.config.data.unique_id_per_box]
    assert [run.config.seed for run in before] == [0, 1]
    assert len(runs) == 10
    for seed in (0, 1):
        with_pretraining = [run for run in runs if run.after and run.config.seed == seed]
        assert {run.config.objective.pathway for run in with_pretraining} == {"object", "query"}
        assert all(run.after is before[seed] or run.after == before[seed] for run in with_pretraining)
    for row, run in enumerate(runs):
        assert run.after is None or run.after in runs[:row]
    assert len({run.name for run in runs}) == len(runs)


def test_every_row_has_a_cell_for_each_data_set_and_seed(miniature: Scale, released: dict[str, Path]) -> None:
    plan = make_plan(get_table("table4"), miniature, real_sources(released), (3, 5))
    cells = [(cell.row.name, cell.column, cell.seed) for cell in plan.cells]
    three = ("COCOPersons", "CUHK-SYSU", "PRW")
    rows = {"SPNet-S, QC": three, "SPNet-S, OC": three[:1], "SPNet-L, QC": three, "SPNet-L, OC": three[:1]}
    assert cells == [(row, column, seed) for row, columns in rows.items() for column in columns for seed in (3, 5)]


def test_each_data_set_sets_its_own(miniature: Scale, released: dict[str, Path]) -> None:
    """OIM remembers 5,000 unknown persons of CUHK-SYSU, 500 of PRW."""
    plan = make_plan(get_table("table5"), miniature, real_sources(released), (0,))
    queues = {}
    for cell in plan.cells:
        assert cell.training is not None
        config = cell.training.config
        queues[cell.column] = config.objective.queue_size
        assert (config.data.train_split, config.data.root) == ("trainval", str(released["prw"]))
        assert cell.training.after is None or cell.training.after.config.data.train_split == "train"
    assert queues == {"CUHK-SYSU": 5000, "PRW": 500}


def test_drawn_streets_stand_for_all_data_sets(synthetic_data: Path) -> None:
    sources = synthetic_sources(synthetic_data)
    assert own_columns(PAPER_TABLES["table5"], sources) == {"synthetic scenes": ("mAP", "GT mAP", "AP@0.5")}
    assert list(own_columns(PAPER_TABLES["table4"], sources).items()) == [
        ("synthetic scenes (boxes)", ("hours",)),
        ("synthetic scenes", ("hours",)),
    ]
    assert own_columns(PAPER_TABLES["figure7"], real_sources({})) == {"PRW": ("mAP", "top-1")}


def test_subsets_are_pretrained_on(miniature: Scale, synthetic_data: Path) -> None:
    plan = plan_of("fractions", miniature, synthetic_data)
    splits = {run.config.data.train_split for run in plan.trainings() if run.config.data.unique_id_per_box}
    assert splits == {f"p{percent}" for percent in (20, 60, 100, 140, 180)}
    assert {run.config.data.train_split for run in plan_of("table8", miniature, synthetic_data).trainings()} == {
        "pretrain",
        "train",
    }


def test_runs_are_found_after_they_were_renamed_and_moved(
    miniature: Scale, synthetic_data: Path, tmp_path: Path
) -> None:
    plan = plan_of("table8", miniature, synthetic_data)
    first, second, *_ = plan.trainings()
    assert first.find(RunIndex(tmp_path / "runs")).folder == tmp_path / "runs" / first.name
    finish(tmp_path / "runs" / first.name, first)
    assert first.find(RunIndex(tmp_path / "runs")).state == "finished"
    shutil.move(tmp_path / "runs" / first.name, tmp_path / "elsewhere" / "of" / "another name")
    found = first.find(RunIndex(tmp_path / "elsewhere"))
    assert (found.state, found.folder) == ("finished", tmp_path / "elsewhere" / "of" / "another name")
    assert second.find(RunIndex(tmp_path / "elsewhere")).state == "missing"
    assert first.find(RunIndex(tmp_path / "runs")).state == "missing"


def test_a_moved_data_set_finds_its_runs(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    shutil.copytree(synthetic_data, tmp_path / "another name")
    for file in (tmp_path / "another name" / "annotations").glob("*.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps(content | {"info": {"image_root": "/elsewhere"}}, indent=1))
    here, there = (plan_of("table5", miniature, data) for data in (synthetic_data, tmp_path / "another name"))
    assert digests(here) == digests(there)
    finish_all(here, tmp_path / "runs")
    assert {run.find(RunIndex(tmp_path / "runs")).state for run in there.trainings()} == {"finished"}


def test_changed_annotations_are_another_training(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    data = shutil.copytree(synthetic_data, tmp_path / "data")
    plan = plan_of("table8", miniature, data)
    finish_all(plan, tmp_path / "runs")
    change_box(data / "annotations" / "train.json")
    states = {
        run.name: run.find(RunIndex(tmp_path / "runs")).state for run in plan_of("table8", miniature, data).trainings()
    }
    assert {state for name, state in states.items() if name.startswith("pretrain")} == {"finished"}
    assert {state for name, state in states.items() if name.startswith("finetune")} == {"missing"}
    change_box(data / "annotations" / "pretrain.json")
    plan = plan_of("table8", miniature, data)
    assert {run.find(RunIndex(tmp_path / "runs")).state for run in plan.trainings()} == {"missing"}


def change_box(file: Path) -> None:
    content = json.loads(file.read_text())
    content["annotations"][3]["bbox"][0] += 1
    file.write_text(json.dumps(content))


def longer(run: RunConfig | None) -> RunConfig:
    assert run is not None
    return replace(run, optimizer=replace(run.optimizer, epochs=7))


def test_a_changed_key_is_another_training_and_so_is_all_that_starts_from_it(
    miniature: Scale, synthetic_data: Path
) -> None:
    def trained(pretrain: RunConfig | None, finetune: RunConfig | None, seed: int = 0) -> list[str]:
        scale = replace(miniature, spnet_s=Recipe(pretrain, finetune))
        return digests(plan_of("table5", scale, synthetic_data, (seed,), ("Ours-QC",)))

    recipe = miniature.spnet_s
    before, after = trained(recipe.pretrain, recipe.finetune)
    assert not {before, after} & {*trained(longer(recipe.pretrain), recipe.finetune)}
    assert not {before, after} & {*trained(recipe.pretrain, recipe.finetune, seed=1)}
    same, other = trained(recipe.pretrain, longer(recipe.finetune))
    assert same == before
    assert other != after


def test_another_classifier_is_another_start(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    """What counts is its content, not its place."""
    finetune = miniature.spnet_s.finetune
    assert finetune is not None
    same = Path(shutil.copy(finetune.model.backbone.weights, tmp_path / "same.safetensors"))
    other = write_classifier(tmp_path / "other.safetensors")
    by_row = []
    for scale in (miniature, miniature_scale(same), miniature_scale(other)):
        cells = plan_of("table5", scale, synthetic_data).cells
        by_row.append({cell.row.name: cell.training.fingerprint for cell in cells if cell.training})
    assert by_row[0] == by_row[1]
    assert [row for row, depends in by_row[0].items() if depends == by_row[2][row]] == ["Random Init."]


STATES = {
    "finished": finish,
    "diverged": diverge,
    "interrupted": interrupt,
    "failed": fail,
    "started": begin,
    "damaged": damage,
}


@pytest.mark.parametrize("first", STATES)
@pytest.mark.parametrize("second", STATES)
def test_the_better_of_two_runs_counts(first: str, second: str, training: Training, tmp_path: Path) -> None:
    """In whichever order they are found."""
    STATES[first](tmp_path / "a", training)
    STATES[second](tmp_path / "b", training)
    best = next(state for state in STATES if state in (first, second))
    found = training.find(RunIndex(tmp_path))
    assert found.state == best
    assert found.folder == tmp_path / ("a" if first == best else "b")
    assert bool(found.reason) == (best in ("diverged", "failed", "damaged"))


def test_every_state_has_a_run_that_is_in_it() -> None:
    assert [*STATES, "missing"] == list(RunState)


@pytest.fixture
def training(miniature: Scale, synthetic_data: Path) -> Training:
    return plan_of("table5", miniature, synthetic_data, rows=("Classifier",)).trainings()[0]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "finished"}', '{"fingerprint": "1", "x": 3}', "\xff"])
def test_damaged_records_are_named_and_the_rest_is_found(content: str, training: Training, tmp_path: Path) -> None:
    finish(tmp_path / "a", training)
    finish(tmp_path / "b", training)
    (tmp_path / "a" / "run.json").write_text(content, encoding="latin-1")
    runs = RunIndex(tmp_path)
    (problem,) = runs.runs[0].problems
    assert problem.startswith(f"{tmp_path / 'a' / 'run.json'}: no record of a run")
    assert "\n" not in problem
    assert training.find(runs).folder == tmp_path / "b"


def problems_of(plan: Plan) -> dict[str, set[str]]:
    """What is wrong, by column."""
    return {cell.column: {other.problem for other in plan.cells if other.column == cell.column} for cell in plan.cells}


def test_a_data_set_that_is_not_given_is_named_and_the_other_columns_stay(
    miniature: Scale, released: dict[str, Path]
) -> None:
    given = {name: data for name, data in released.items() if name != "prw"}
    plan = make_plan(get_table("table5"), miniature, real_sources(given), (0,))
    missing = "data set 'prw' is not prepared: give --data prw=DIR (see spnet prepare)"
    assert problems_of(plan) == {"CUHK-SYSU": {""}, "PRW": {missing}}
    assert len(plan.trainings()) == 6


def test_without_boxes_to_pretrain_on_the_baselines_stay(miniature: Scale, released: dict[str, Path]) -> None:
    given = {name: data for name, data in released.items() if name != "cocopersons"}
    plan = make_plan(get_table("table5"), miniature, real_sources(given), (0,))
    assert {cell.row.name for cell in plan.cells if not cell.problem} == {"Random Init.", "Classifier"}
    missing = "data set 'cocopersons' is not prepared: give --data cocopersons=DIR (see spnet prepare)"
    assert {cell.problem for cell in plan.cells if cell.problem} == {missing}


@pytest.mark.parametrize("damage", ["folder", "split", "annotations", "kind"])
def test_data_that_cannot_be_used_is_named(
    damage: str, miniature: Scale, released: dict[str, Path], tmp_path: Path
) -> None:
    prw = tmp_path / "prw"
    file = prw / "annotations" / "trainval.json"
    file.parent.mkdir(parents=True)
    said = {
        "folder": f"--data prw={prw}: no data set prepared by `spnet prepare` is there",
        "split": f"data set '{prw}' has no split 'trainval'; it has ['test']",
        "annotations": f"{file}: not JSON: line 1 column 2: ",
        "kind": f"{file}: no annotations: it holds list",
    }[damage]
    if damage == "folder":
        shutil.rmtree(prw)
    elif damage == "split":
        file.with_name("test.json").write_text("{}")
    else:
        file.write_text("{" if damage == "annotations" else "[]")
    plan = make_plan(get_table("table9"), miniature, real_sources({**released, "prw": prw}), (0,))
    problems = problems_of(plan)
    assert problems["CUHK-SYSU"] == {""}
    (problem,) = problems["PRW"]
    assert problem.startswith(said)
    assert "\n" not in problem


def test_a_pretraining_is_not_needed_once_all_that_starts_from_it_is_finished(
    miniature: Scale, synthetic_data: Path, tmp_path: Path
) -> None:
    """Its weights may be removed then."""
    plan = plan_of("table8", miniature, synthetic_data)
    folders = finish_all(plan, tmp_path)
    (before,) = [run for run in plan.trainings() if run.config.data.unique_id_per_box]
    shutil.rmtree(folders[before.fingerprint])
    assert before not in plan.needed(RunIndex(tmp_path))
    one = next(run for run in plan.trainings() if run.after)
    shutil.rmtree(folders[one.fingerprint])
    assert before in plan.needed(RunIndex(tmp_path))
    diverge(folders[one.fingerprint], one)
    assert before not in plan.needed(RunIndex(tmp_path))
    hours = plan_of("table4", miniature, synthetic_data)  # asks for the pre-training itself
    assert before in hours.needed(RunIndex(tmp_path))


def test_weights_that_are_not_given_are_named_and_the_other_rows_stay(
    miniature: Scale, synthetic_data: Path, tmp_path: Path
) -> None:
    sources = replace(synthetic_sources(synthetic_data), weights={"solider-cocopersons": tmp_path / "none.pth"})
    plan = make_plan(get_table("table3"), miniature, sources, (0,))
    assert {cell.row.name: cell.problem for cell in plan.cells if cell.problem} == {
        "SOLIDER": "backbone weights 'solider' are not given: --backbone-weights solider=FILE",
        "SOLIDER, COCOPersons": f"--backbone-weights solider-cocopersons={tmp_path / 'none.pth'}: no such file",
    }
    assert len(plan.cells) == 6
