"""How far a loop is."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def show_progress(items: Iterable[Item], title: str, total: int) -> Iterable[Item]:
    """The items, with a bar on a terminal while they are gone through."""
    console = Console(stderr=True)
    return track(items, title, total, console=console, disable=not console.is_terminal)
