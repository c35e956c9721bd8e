"""Work done ahead in another thread, and in batches."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from spnet.errors import UserError

Item = TypeVar("Item")
PATIENCE = 0.1  # seconds between looks whether anybody still wants more


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter; before a UserError is raised comes what there was until then."""
    batch: list[Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except UserError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def prefetch(items: Iterable[Item], ahead: int, newest: bool = False) -> Iterator[Item]:
    """The items, made in another thread, at most `ahead` of them in advance; what goes wrong there is raised here.

    Where they come faster than they are taken, making them waits; with `newest` the oldest of them is dropped instead.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ahead)
    stopped = threading.Event()

    def offer(entry: tuple[Item | None, BaseException | None]) -> bool:
        drop = newest and entry[1] is None  # the end waits, or the last item would be dropped for it
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0 if drop else PATIENCE)
                return True
            except queue.Full:
                if drop:
                    with suppress(queue.Empty):
                        ready.get_nowait()
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer((item, None)):
                    return
            offer((None, StopIteration()))
        except BaseException as error:  # whatever it is, it is raised again where it is waited for
            offer((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # an entry without an error has an item
    finally:
        stopped.set()
        thread.join()
