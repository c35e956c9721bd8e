"""Batches: their layout, their order, going on in the middle, and one clean line for a bad image from any worker."""

from collections.abc import Iterable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from feeding import make_annotations
from lightning.pytorch.callbacks import ModelCheckpoint

from spnet import distributed
from spnet.config.schema import Augmentation
from spnet.data.dataloader import ResumableSampler, TrainingLoader, collate, evaluation_loader
from spnet.data.dataset import PersonSearchDataset
from spnet.errors import UserError
from spnet.types import SceneBatch

WRS = Augmentation("wrs", min_size=64, max_size=120)
RRC2 = Augmentation("rrc2", crop_size=32, min_size=64, max_size=120, num_views=2)


def make_scenes(folder: Path, augmentation: Augmentation = RRC2) -> PersonSearchDataset:
    return PersonSearchDataset(make_annotations(folder), augmentation, seed=0)


def same(batch: SceneBatch, other: SceneBatch) -> bool:
    return torch.equal(batch.images, other.images) and torch.equal(batch.targets.boxes, other.targets.boxes)


def ids(batches: Iterable[SceneBatch]) -> list[list[int]]:
    return [batch.scene_ids.tolist() for batch in batches]


def test_collate_is_image_major_and_pads_with_black(tmp_path: Path) -> None:
    scenes = make_scenes(tmp_path, Augmentation("wrs", min_size=64, max_size=120, num_views=2))
    batch = collate([scenes[0], scenes[1], scenes[3]])
    assert batch.images.shape == (6, 3, 96, 96)
    assert batch.images.dtype == torch.uint8
    assert batch.scene_ids.tolist() == [100, 100, 101, 101, 103, 103]
    assert batch.sizes.tolist() == [[64, 96]] * 2 + [[96, 64]] * 2 + [[64, 96]] * 2
    for row, index in enumerate([0, 0, 1, 1, 3, 3]):
        image = scenes[index][0].image
        height, width = image.shape[1:]
        assert torch.equal(batch.images[row, :, :height, :width], image)
        assert batch.images[row, :, height:].sum() == batch.images[row, :, :, width:].sum() == 0
    assert batch.targets.scene.tolist() == [0, 0, 0, 1, 1, 1, 2, 3]
    assert batch.targets.person.tolist() == [7, 5, 3, 7, 5, 3, 3, 3]
    assert batch.targets.identity.tolist() == [1, -1, 0, 1, -1, 0, 0, 0]
    assert batch.targets.boxes.shape == (8, 4)
    assert batch.targets.boxes.dtype == batch.scales.dtype == torch.float32
    assert {t.dtype for t in (batch.targets.scene, batch.targets.person, batch.sizes)} == {torch.int64}


def test_collate_of_scenes_without_boxes(tmp_path: Path) -> None:
    batch = collate([make_scenes(tmp_path)[3]])
    assert batch.targets.boxes.shape == (0, 4)
    assert batch.targets.scene.shape == (0,)


def test_batch_size_counts_images_and_views_multiply(tmp_path: Path) -> None:
    loader = TrainingLoader(make_scenes(tmp_path), batch_size=3, num_workers=0, seed=0)
    batches = list(loader)
    assert len(batches) == len(loader) == 2
    assert all(batch.images.shape == (6, 3, 32, 32) for batch in batches)


def test_epochs_are_permutations_that_seed_and_epoch_decide() -> None:
    order = ResumableSampler(20, 4, seed=3)
    first = list(order)
    assert [epoch for epoch, _ in first] == [0] * 20
    assert sorted(scene for _, scene in first) == list(range(20))
    assert first == list(order) == list(ResumableSampler(20, 4, seed=3))
    order.set_epoch(1)
    assert [scene for _, scene in order] != [scene for _, scene in first]
    assert list(ResumableSampler(20, 4, seed=4)) != first


@pytest.mark.parametrize(("scenes", "world_size"), [(24, 2), (31, 3), (9, 2)])
def test_processes_share_an_epoch_without_overlap(
    scenes: int, world_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, shares = list(ResumableSampler(scenes, 4, 0)), []
    for rank in range(world_size):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(list(ResumableSampler(scenes, 4, 0, world_size)))
    assert {len(share) for share in shares} == {len(ResumableSampler(scenes, 4, 0, world_size))}
    taken = [key for share in shares for key in share]
    assert len(set(taken)) == len(taken) == scenes // (4 * world_size) * 4 * world_size
    # one step of all processes takes what one process would take in as many steps
    assert [key for share in shares for key in share[:4]] == alone[: 4 * world_size]


@pytest.mark.parametrize(("batch_size", "world_size"), [(0, 1), (8, 1), (4, 2)])
def test_a_batch_size_that_gives_no_batch_is_refused(tmp_path: Path, batch_size: int, world_size: int) -> None:
    with pytest.raises(UserError, match=f"batch_size is {batch_size} on {world_size} process"):
        TrainingLoader(make_scenes(tmp_path), batch_size, 0, seed=0, world_size=world_size)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_going_on_in_the_middle_gives_the_same_batches(tmp_path: Path, num_workers: int) -> None:
    scenes = make_scenes(tmp_path)
    loader = TrainingLoader(scenes, 2, 0, seed=5)
    expected = []
    for epoch in range(2):
        loader.set_progress(epoch, 0)
        expected += list(loader)
    interrupted = TrainingLoader(scenes, 2, num_workers, seed=5)
    interrupted.set_progress(1, 0)
    batches = iter(interrupted)
    found = [next(batches)]
    state = interrupted.state_dict()
    assert state == {"epoch": 1, "batches_done": 1}  # what workers made ahead does not count
    resumed = TrainingLoader(scenes, 2, num_workers, seed=5)
    resumed.load_state_dict(state)
    assert len(resumed) == 3
    found += list(resumed)
    assert len(found) == 3
    assert all(same(batch, other) for batch, other in zip(expected[3:], found, strict=True))
    assert resumed.state_dict() == {"epoch": 1, "batches_done": 3}
    assert ids(resumed) == ids(expected[3:])  # only once: the next iteration is whole


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    scenes = make_scenes(tmp_path)
    loaders = [TrainingLoader(scenes, 3, num_workers, seed=1) for num_workers in (0, 1, 2)]
    for epoch in range(2):
        for loader in loaders:
            loader.order.set_epoch(epoch)
        for batches in zip(*loaders, strict=True):
            assert same(batches[0], batches[1])
            assert same(batches[0], batches[2])


class Recorder(lightning.LightningModule):
    """Notes which images each step sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[list[int], int]] = []

    def training_step(self, batch: SceneBatch, batch_index: int) -> torch.Tensor:
        self.seen.append((batch.scene_ids.tolist(), int(batch.images.sum())))
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    scenes: PersonSearchDataset, checkpoint: Path | None = None, *callbacks: lightning.Callback
) -> list[tuple[list[int], int]]:
    model = Recorder()
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=bool(callbacks),
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, TrainingLoader(scenes, 2, 0, seed=5), ckpt_path=checkpoint)
    return model.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("every", [{"every_n_train_steps": 1}, {"every_n_epochs": 1}])
def test_lightning_resumes_in_the_middle_and_at_the_end_of_an_epoch(tmp_path: Path, every: dict[str, Any]) -> None:
    scenes = make_scenes(tmp_path)
    saver = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, **every)
    whole = fit(scenes, None, saver)
    assert len(whole) == 9
    for step in range(1, 9) if "every_n_train_steps" in every else (3, 6):
        assert fit(scenes, tmp_path / f"step={step}.ckpt") == whole[step:]


def test_evaluation_gives_every_scene_once_padded_as_it_would_be_alone(tmp_path: Path) -> None:
    scenes = make_scenes(tmp_path, WRS)
    batches = list(evaluation_loader(scenes, 2, 0))
    assert sorted(np.concatenate(ids(batches))) == list(range(100, 107))
    assert [101, 105] in ids(batches)  # the two upright ones
    assert max(len(batch.images) for batch in batches) == 2
    for batch in batches:
        for row, scene in enumerate(batch.scene_ids.tolist()):
            alone = collate([scenes[scene - 100]])
            assert torch.equal(batch.images[row], alone.images[0])


def test_evaluation_is_shared_among_processes(tmp_path: Path) -> None:
    scenes = make_scenes(tmp_path, WRS)
    shares = [np.concatenate(ids(evaluation_loader(scenes, 2, 0, rank, 2))) for rank in range(2)]
    assert sorted(np.concatenate(shares)) == list(range(100, 107))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("damage", ["truncated", "size", "missing"])
def test_a_bad_image_ends_with_one_clean_line(tmp_path: Path, num_workers: int, damage: str) -> None:
    scenes = make_scenes(tmp_path, WRS)
    path = tmp_path / "2.jpg"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "size":
        path.write_bytes((tmp_path / "0.jpg").read_bytes())
    else:
        path.unlink()
    for loader in (TrainingLoader(scenes, 2, num_workers, seed=1), evaluation_loader(scenes, 2, num_workers)):
        others = active_children()
        with pytest.raises(UserError, match=r"^image [^\n]*2\.jpg [^\n]*$"):
            list(loader)
        assert set(active_children()) <= set(others)  # its workers have ended
