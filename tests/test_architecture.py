"""Rooms import downwards only: an arrow upwards, or a circle, is a design that slipped."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "spnet"

LEVELS = (  # a room may import from its own level's earlier lines and from every level above it in this list
    ("errors",),
    ("extras", "files", "progress", "ragged", "types", "distributed"),
    ("config",),
    ("data", "models"),
    ("losses",),
    ("synthetic", "runs"),
    ("evaluation",),
    ("training", "inference", "reports", "publish"),
    ("export",),
    ("gallery",),
    ("app",),
    ("paper",),
    ("cli",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports anything of, at its top or inside a function."""
    nodes = ast.walk(ast.parse(path.read_text()))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    rooms = {name.split(".")[1] for name in names if name.startswith("spnet.")}
    return rooms - {room_of(path), "__version__"}


def test_every_room_has_its_level() -> None:
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"}
    assert rooms == set(LEVEL)


def test_imports_point_down() -> None:
    upwards = [
        f"{path.relative_to(SOURCE)} imports {room}"
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "__init__.py"
        for room in imported_rooms(path)
        if LEVEL[room] >= LEVEL[room_of(path)]
    ]
    assert not upwards
