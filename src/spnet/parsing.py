"""Configurations from files, options or saved runs: the dataclasses are the one schema, unknown keys are refused."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from spnet.errors import UserError

Config = TypeVar("Config")

UNKNOWN_KEY = re.compile(  # how the parser says so, for options and for files
    r"unrecognized arguments: --(?P<option>[\w.]+)"
    r"|Option '(?P<key>[\w.]+)' is not accepted"
    r"|Group '(?P<group>[\w.]+)' does not accept option '(?P<inner>[\w.]+)'"
)


def option_parser(schema: type) -> ArgumentParser:
    """The parser of all keys of a configuration dataclass as dotted options (`--model.cascade_steps 2`)."""
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False, usage="")
    parser.add_class_arguments(schema, as_group=False)
    return parser


def override(base: Config, file: Path | None = None, options: Sequence[str] = ()) -> Config:
    """A configuration with keys replaced: first by a YAML or JSON file, then by dotted options.

    Raises:
        UserError: an unknown key or a value of the wrong type, with the choices.
    """
    parser = option_parser(type(base))
    parser.set_defaults(asdict(base))  # type: ignore[call-overload]
    if file is not None:
        changed = _from_content(type(base), parser, read_mapping(file), str(file))
        parser.set_defaults(asdict(changed))  # type: ignore[call-overload]
    return _build(type(base), parser, lambda: parser.parse_args(list(options)), "options")


def parse(schema: type[Config], content: dict[str, Any], origin: str) -> Config:
    """A configuration from plain keys and values. Raises UserError naming `origin` for what the schema refuses."""
    return _from_content(schema, option_parser(schema), content, origin)


def to_plain(config: Any) -> dict[str, Any]:
    """A configuration as plain keys and values, for YAML and JSON."""
    parser = option_parser(type(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tuples among free options come back as lists
        plain: dict[str, Any] = yaml.safe_load(parser.dump(parser.parse_object(asdict(config)), skip_unset=False))
    return plain


def to_yaml(config: Any) -> str:
    """All keys with their values, readable by `override`."""
    return yaml.safe_dump(to_plain(config), sort_keys=False)


def _from_content(schema: type[Config], parser: ArgumentParser, content: dict[str, Any], origin: str) -> Config:
    _check_groups(schema, content, origin)
    return _build(schema, parser, lambda: parser.parse_object(content), origin)


def _check_groups(schema: type, content: dict[str, Any], origin: str, prefix: str = "") -> None:
    """Raise UserError for a group of keys that is given one value, which the parser would pass over in silence."""
    kinds = get_type_hints(schema)
    for name in (field.name for field in fields(schema) if field.name in content and is_dataclass(kinds[field.name])):
        if not isinstance(content[name], dict):
            value = f"{prefix}{name} is {content[name]!r}"
            raise UserError(f"configuration ({origin}): {value}, expected keys and values")
        _check_groups(kinds[name], content[name], origin, f"{prefix}{name}.")


def _build(schema: type[Config], parser: ArgumentParser, read: Callable[[], Namespace], origin: str) -> Config:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return schema(**vars(parser.instantiate(read())))
    except (ArgumentError, TypeError, KeyError) as error:
        said = re.sub(r"<class '(\w+)'>|typing\.Literal", lambda match: match[1] or "one of ", str(error))
        said = " ".join(said.split())
        raise UserError(f"configuration ({origin}): {said}{_choices(schema, said)}") from None


def _choices(schema: type, said: str) -> str:
    """What an unknown key may have been meant to be: keys spelled like it, or else all of its group."""
    found = UNKNOWN_KEY.search(said)
    if found is None:
        return ""
    key = ".".join(part for part in found.groups() if part)
    keys = list(_keys(schema))
    near = get_close_matches(key, keys, cutoff=0.8)
    return f"; choose {', '.join(near or _inside(key.rpartition('.')[0], keys) or _inside('', keys))}"


def _inside(group: str, keys: Sequence[str]) -> list[str]:
    """What is in a group of keys; a group in it is shown as `model.*`."""
    prefix = f"{group}." if group else ""
    inner = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    return list(
        dict.fromkeys(prefix + name + (".*" if rest else "") for name, _, rest in (key.partition(".") for key in inner))
    )


def _keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, dotted."""
    kinds = get_type_hints(schema)
    for name in (field.name for field in fields(schema)):
        if is_dataclass(kinds[name]):
            yield from _keys(kinds[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def read_mapping(file: Path) -> dict[str, Any]:
    """The keys and values of a YAML or JSON file. Raises UserError for a file that has none."""
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise UserError(f"configuration {str(file)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"configuration {str(file)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"configuration {str(file)!r} holds {type(content).__name__}, expected keys and values")
    return content
