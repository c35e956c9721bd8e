"""Configurations from files, options or saved runs: the dataclasses are the one schema, unknown keys are refused."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from spnet.errors import UserError

Config = TypeVar("Config")


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
    content = {} if file is None else _read_mapping(file)
    if content:
        parser.set_defaults(asdict(_build(type(base), parser, lambda: parser.parse_object(content), str(file))))  # type: ignore[call-overload]
    return _build(type(base), parser, lambda: parser.parse_args(list(options)), "options")


def parse(schema: type[Config], content: dict[str, Any], origin: str) -> Config:
    """A configuration from plain keys and values. Raises UserError naming `origin` for what the schema refuses."""
    parser = option_parser(schema)
    return _build(schema, parser, lambda: parser.parse_object(content), origin)


def to_plain(config: Any) -> dict[str, Any]:
    """A configuration as plain keys and values, for YAML and JSON."""
    parser = option_parser(type(config))
    plain: dict[str, Any] = yaml.safe_load(parser.dump(parser.parse_object(asdict(config))))
    return plain


def to_yaml(config: Any) -> str:
    """All keys with their values, readable by `override`."""
    return yaml.safe_dump(to_plain(config), sort_keys=False)


def _build(schema: type[Config], parser: ArgumentParser, read: Callable[[], Namespace], origin: str) -> Config:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return schema(**vars(parser.instantiate(read())))
    except (ArgumentError, TypeError, KeyError) as error:
        raise UserError(f"configuration ({origin}): {' '.join(str(error).split())}") from None


def _read_mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise UserError(f"configuration {str(file)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"configuration {str(file)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"configuration {str(file)!r} holds {type(content).__name__}, expected keys and values")
    return content
