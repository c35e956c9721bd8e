"""Reads and writes configurations: from files, options and saved runs, validated against the one schema by pydantic."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from spnet.errors import UserError

Config = TypeVar("Config")
Content = Mapping[str, Any]  # as YAML and JSON have it

CLOSE_ENOUGH = 0.8  # of a mistyped key to an existing one, as difflib measures it
NESTED = ("[", "{")  # what an option's value begins with where it is a list or a table
NOTHING = ("null", "None")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def override(base: Config, file: Path | None = None, options: Sequence[str] = ()) -> Config:
    """A configuration with keys replaced: first by a YAML or JSON file, then by dotted options (`--seed 1`).

    Raises:
        UserError: an unknown key or a value outside its type or range, with the choices.
    """
    schema = type(base)
    if file is not None:
        base = parse(schema, _merge(schema, to_plain(base), read_mapping(file)), str(file))
    return parse(schema, _merge(schema, to_plain(base), _parse_options(options)), "options") if options else base


def parse(schema: type[Config], content: Content, origin: str) -> Config:
    """A configuration from plain keys and values. Raises UserError naming `origin` for what the schema refuses."""
    try:
        config: Config = _adapter(schema).validate_python(content)
    except ValidationError as error:
        said = "; ".join(_say(schema, problem) for problem in error.errors())
        raise UserError(f"configuration ({origin}): {said}") from None
    return config


def check(config: object) -> None:
    """Raise UserError for a configuration made in Python whose values are outside their ranges."""
    parse(type(config), to_plain(config), "values")


def to_plain(config: object) -> dict[str, Any]:
    """A configuration as plain keys and values, for YAML and JSON."""
    plain: dict[str, Any] = _adapter(type(config)).dump_python(config, mode="json", warnings="none")
    return plain


def to_yaml(config: object) -> str:
    """All keys with their values, readable by `override`."""
    return yaml.safe_dump(to_plain(config), sort_keys=False)


def read_mapping(file: Path) -> dict[str, Any]:
    """The keys and values of a YAML or JSON file. Raises UserError for a file that has none."""
    try:
        content = yaml.load(file.read_text(), _PlainLoader)
    except OSError as error:
        raise UserError(f"configuration {str(file)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"configuration {str(file)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"configuration {str(file)!r} holds {type(content).__name__}, expected keys and values")
    return content


class _PlainLoader(yaml.SafeLoader):
    """YAML without tags that make objects, and without aliases, which make gigabytes of a few lines."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read: write the value itself")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


@cache
def describe_keys(schema: type) -> tuple[tuple[str, str, str], ...]:
    """Key, type and description of every value of a configuration, for the command line's help."""
    kinds = get_type_hints(schema)
    described = _adapter(schema).json_schema()["properties"]
    keys: list[tuple[str, str, str]] = []
    for name in (one.name for one in fields(schema)):
        if is_dataclass(kinds[name]):
            keys += [(f"{name}.{key}", kind, text) for key, kind, text in describe_keys(kinds[name])]
        else:
            keys.append((name, _kind(kinds[name]), " ".join(described[name].get("description", "").split())))
    return tuple(keys)


def _kind(annotation: object) -> str:
    """A type as a person reads it: the choices of a Literal, or the name."""
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    return str(annotation).replace("typing.", "") if get_args(annotation) else getattr(annotation, "__name__", "any")


def _adapter(schema: type) -> TypeAdapter[Any]:
    if schema not in _ADAPTERS:  # building one takes milliseconds
        _ADAPTERS[schema] = TypeAdapter(schema)
    return _ADAPTERS[schema]


def _parse_options(options: Sequence[str]) -> dict[str, Any]:
    """`--a.b 1 --c=2` as nested keys. Raises UserError for a word that is no option, or an option without a value."""
    content: dict[str, Any] = {}
    words = iter(options)
    for word in words:
        if not word.startswith("--"):
            raise UserError(f"configuration (options): {word!r} is no option; expected --KEY VALUE")
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals and (value := next(words, "")) == "":
            raise UserError(f"configuration (options): --{key} needs a value")
        *groups, name = key.split(".")
        inner = content
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise UserError(f"configuration (options): --{key}: {group} already has a value")
        inner[name] = _parse_value(key, value)
    return content


def _parse_value(key: str, text: str) -> Any:
    """Words stay text, which pydantic converts; only what no text says, lists, tables and nothing, is read as YAML."""
    if not text.startswith(NESTED) and text not in NOTHING:
        return text
    try:
        return None if text in NOTHING else yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"configuration (options): --{key} {text}: {' '.join(str(error).split())}") from None


def _merge(schema: type, base: Content, changes: Content) -> dict[str, Any]:
    """Keys replaced group by group; a free table (`model_kwargs`) is replaced as a whole."""
    kinds = get_type_hints(schema)
    merged = dict(base)
    for name, value in changes.items():
        group = isinstance(value, Mapping) and is_dataclass(kinds.get(name))
        merged[name] = _merge(kinds[name], base[name], value) if group else value
    return merged


def _say(schema: type, problem: ErrorDetails) -> str:
    """One problem in words: the key, the value, and what was expected or what the key may have meant."""
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown key {key}; choose {', '.join(_choices(schema, key))}"
    if problem["type"] == "dataclass_type":
        return f"{key or 'it'} is {problem['input']!r}, expected keys and values"
    expected = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{key} is {problem['input']!r}: {expected}"


def _choices(schema: type, key: str) -> list[str]:
    """What an unknown key may have been meant to be: keys spelled like it, or else all of its group."""
    keys = [name for name, _, _ in describe_keys(schema)]
    near = get_close_matches(key, keys, cutoff=CLOSE_ENOUGH)
    return near or _inside(key.rpartition(".")[0], keys) or _inside("", keys)


def _inside(group: str, keys: Sequence[str]) -> list[str]:
    """What is in a group of keys; a group in it is shown as `model.*`."""
    prefix = f"{group}." if group else ""
    inner = (key.removeprefix(prefix).partition(".") for key in keys if key.startswith(prefix))
    return list(dict.fromkeys(prefix + name + (".*" if rest else "") for name, _, rest in inner))
