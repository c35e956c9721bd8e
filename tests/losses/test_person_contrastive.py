"""The person queue, against a loop over persons: loss, ring and position."""

import pytest
import torch
from torch import Tensor

from spnet.errors import UserError
from spnet.losses.person_contrastive import EMPTY, PersonContrastiveMemory


class NaiveQueue:
    """A ring of (person, embedding) or None."""

    def __init__(self, memory: PersonContrastiveMemory) -> None:
        self.ring: list[tuple[int, Tensor] | None] = [None] * len(memory.persons)
        self.position, self.logit_scale = 0, memory.logit_scale

    def update(self, embeddings: Tensor, person: Tensor) -> None:
        for name in sorted(set(person.tolist())):
            mean = torch.stack([e for e, p in zip(embeddings, person.tolist(), strict=True) if p == name]).mean(0)
            self.ring = [entry if entry is None or entry[0] != name else None for entry in self.ring]
            self.ring[self.position] = (name, mean / mean.norm())
            self.position = (self.position + 1) % len(self.ring)

    def loss(self, embeddings: Tensor, person: Tensor) -> Tensor:
        entries = [entry for entry in self.ring if entry is not None]
        total = embeddings.new_zeros(())
        for embedding, own in zip(embeddings, person.tolist(), strict=True):
            logits = torch.stack([self.logit_scale * (embedding / embedding.norm()) @ row for _, row in entries])
            total = total + logits.logsumexp(0) - logits[[name for name, _ in entries].index(own)]
        return total / max(1, len(embeddings))

    def check(self, memory: PersonContrastiveMemory) -> None:
        assert memory.persons.tolist() == [EMPTY if entry is None else entry[0] for entry in self.ring]
        assert int(memory.position) == self.position
        for row, entry in zip(memory.embeddings, self.ring, strict=True):
            if entry is not None:
                torch.testing.assert_close(row, entry[1], atol=1e-6, rtol=1e-5)


# persons there are, places, boxes of a step; few persons come again before the ring has turned
@pytest.mark.parametrize(
    ("persons", "places", "boxes"), [(1000, 50, 12), (9, 7, 20), (5, 5, 11), (30, 8, 8), (3, 1, 1)]
)
@pytest.mark.parametrize("first_person", [0, 2**24, 2**40])
def test_random_streams_are_the_loop(persons: int, places: int, boxes: int, first_person: int) -> None:
    generator = torch.Generator().manual_seed(4)
    memory = PersonContrastiveMemory(places, 6, logit_scale=10.0)
    naive = NaiveQueue(memory)
    for step in range(15):
        among = torch.randperm(persons, generator=generator)[:places]  # no more than there are places
        person = first_person + among[torch.randint(len(among), (0 if step == 4 else boxes,), generator=generator)]
        taught = torch.randn(len(person), 6, generator=generator)
        memory.update(taught, person)
        naive.update(taught, person)
        naive.check(memory)
        students = torch.randn(len(person), 6, generator=generator)
        assert memory(students, person).item() == pytest.approx(naive.loss(students, person).item(), rel=1e-4, abs=1e-6)


def test_means_are_taken_before_they_are_normalized() -> None:
    memory = PersonContrastiveMemory(2, 2)
    memory.update(torch.tensor([[9.0, 0.0], [0.0, 1.0]]), torch.tensor([7, 7]))
    torch.testing.assert_close(memory.embeddings[0], torch.tensor([9.0, 1.0]) / 82**0.5)


def test_an_older_entry_of_the_same_person_is_dropped() -> None:
    memory = PersonContrastiveMemory(4, 2)
    memory.update(torch.eye(2), torch.tensor([5, 3]))
    assert memory.persons.tolist() == [3, 5, EMPTY, EMPTY]
    memory.update(torch.eye(2)[:1], torch.tensor([3]))
    assert memory.persons.tolist() == [EMPTY, 5, 3, EMPTY]


def test_more_persons_than_places_is_the_users_mistake_and_changes_nothing() -> None:
    memory = PersonContrastiveMemory(2, 3)
    memory.update(torch.eye(3)[:1], torch.tensor([1]))
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    with pytest.raises(UserError, match=r"queue_size 2 .* 3 persons"):
        memory.update(torch.eye(3), torch.tensor([1, 2, 3]))
    for name, value in memory.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_embeddings_that_are_not_finite_do_not_enter(bad: float) -> None:
    """A person with one finite row has that one; a person without any has an empty place, and no loss."""
    memory = PersonContrastiveMemory(4, 2)
    taught = torch.tensor([[bad, 0.0], [0.0, 2.0], [bad, bad]])
    memory.update(taught, torch.tensor([3, 3, 5]))
    assert memory.persons.tolist() == [3, EMPTY, EMPTY, EMPTY]
    assert memory.embeddings.isfinite().all()
    assert memory.embeddings[0].tolist() == [0.0, 1.0]
    students = torch.eye(2, requires_grad=True)
    loss = memory(students, torch.tensor([3, 5]))
    assert loss.item() == 0  # 3 is alone in the queue, 5 is not in it
    PersonContrastiveMemory(4, 2)(students, torch.tensor([3, 5])).backward()
    assert students.grad is not None
    assert students.grad.isfinite().all()


def test_gradient_is_that_of_the_loop() -> None:
    generator = torch.Generator().manual_seed(6)
    memory = PersonContrastiveMemory(5, 4)
    naive = NaiveQueue(memory)
    taught, person = torch.randn(4, 4, generator=generator), torch.tensor([8, 2, 8, 4])
    memory.update(taught, person)
    naive.update(taught, person)
    students = torch.randn(4, 4, generator=generator, requires_grad=True)
    (ours,) = torch.autograd.grad(memory(students, person), students)
    (theirs,) = torch.autograd.grad(naive.loss(students, person), students)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)
    assert ours.abs().sum() > 0


def test_nothing_gives_zero_that_goes_backward() -> None:
    memory = PersonContrastiveMemory(3, 4)
    embeddings = torch.zeros(0, 4, requires_grad=True)
    memory.update(embeddings, torch.zeros(0, dtype=torch.int64))
    loss = memory(embeddings, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


def test_state_holds_memory_and_position() -> None:
    memory = PersonContrastiveMemory(3, 2)
    memory.update(torch.eye(2), torch.tensor([1, 2]))
    assert set(memory.state_dict()) == {"embeddings", "persons", "position"}
    again = PersonContrastiveMemory(3, 2)
    again.load_state_dict(memory.state_dict())
    again.update(torch.eye(2), torch.tensor([3, 4]))
    assert again.persons.tolist() == [4, 2, 3]
