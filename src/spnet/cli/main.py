"""The command `spnet`: parse, build, run."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from spnet import __version__
from spnet.errors import UserError

COMMANDS = (
    "demo", "prepare", "inspect", "train", "evaluate", "score", "index", "search", "app", "detect",
    "calibrate", "delete", "convert", "export", "push", "list", "reproduce", "runs",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Report a mistake in one line; `--help` has the usage."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class PrintHandler(logging.Handler):
    """Prints messages on the stderr of the moment, which a progress bar replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        print(self.format(record), file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 a user's mistake (one line on stderr), 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.getLogger("spnet").handlers = [PrintHandler()]
    logging.getLogger("spnet").setLevel(logging.INFO)
    parser = build_parser(arguments[:1])
    parsed, keys = parser.parse_known_args(arguments)
    parsed.keys = keys
    try:
        if keys and not getattr(parsed, "takes_keys", False):
            raise UserError(f"unrecognized arguments: {' '.join(keys)} (see spnet {parsed.command} --help)")
        parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for example, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(f"spnet {parsed.command}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"spnet {parsed.command}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"spnet {parsed.command}: interrupted{f'; {error}' if str(error) else ''}", file=sys.stderr)
        return 130
    return 0


def build_parser(wanted: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; only the wanted command's options are loaded, so that `--help` is quick."""
    parser = Parser(prog="spnet", description="Person search with the Swap Path Network.")
    parser.add_argument("--version", action="version", version=f"spnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    names = wanted if set(wanted) <= set(COMMANDS) and wanted else COMMANDS
    for name in names:
        module = importlib.import_module(f"spnet.cli.{name}")
        command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        if name in wanted:
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
