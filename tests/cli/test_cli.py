"""The command `spnet` itself: exit statuses, one line for a mistake, quick help, and the pinned list of options."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from golden import assert_golden
from invented_runs import evaluate, make_run
from spnet import __version__
from spnet.cli.main import COMMANDS, build_parser, main
from spnet.config.io import to_plain
from spnet.config.schema import RunConfig
from spnet.errors import UserError

GOLDEN = Path(__file__).parent / "options.txt"


def fake_command(raised: BaseException | None) -> ModuleType:
    """A command that ends so."""

    def run(arguments: argparse.Namespace) -> None:
        if raised is not None:
            raise raised

    module = ModuleType("spnet.cli.score")
    vars(module).update(SUMMARY="fake", add_arguments=lambda parser: parser.add_argument("--number", type=int), run=run)
    return module


MISSING = FileNotFoundError(2, "No such file or directory", "/no/where")
ENDS = [
    (None, 0, ""),
    (UserError("box 3 of scene 7 is empty"), 2, "spnet score: error: box 3 of scene 7 is empty\n"),
    (MISSING, 2, "spnet score: error: /no/where: No such file or directory\n"),
    (KeyboardInterrupt(), 130, "spnet score: interrupted\n"),
    (KeyboardInterrupt("go on with: this"), 130, "spnet score: interrupted; go on with: this\n"),
]


@pytest.mark.parametrize(("raised", "status", "said"), ENDS)
def test_exit_status(
    raised: BaseException | None,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "spnet.cli.score", fake_command(raised))
    assert main(["score"]) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("raised", [RuntimeError("a mistake of ours"), OSError("without a file")])
def test_our_own_mistakes_keep_their_traceback(raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spnet.cli.score", fake_command(raised))
    with pytest.raises(type(raised)):
        main(["score"])


MISTAKES = [
    ([], "spnet: error: the following arguments are required: COMMAND (see spnet --help)"),
    (["find"], "spnet: error: argument COMMAND: invalid choice: 'find' (choose from "),
    (["score", "--nope"], "spnet score: error: unrecognized arguments: --nope (see spnet score --help)"),
    (["score", "--number", "x"], "spnet score: error: argument --number: invalid int value: 'x' (see spnet score"),
    (["train", "spnet-s", "--stage", "x"], "spnet train: error: argument --stage: invalid choice: 'x' (choose from "),
    (["prepare"], "spnet prepare: error: the following arguments are required: SOURCE"),
    (["prepare", "mot", "--nope"], "spnet prepare mot: error: the following arguments are required: --train, --output"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistyped_commands_are_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "spnet.cli.score", fake_command(None))
    try:
        status: Any = main(arguments)
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"spnet {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: spnet {command}" in capsys.readouterr().out


def test_help_is_quick_since_it_loads_no_package_that_is_slow() -> None:
    code = (
        "import sys\nfrom spnet.cli.main import main\n"
        "try: main(['--help'])\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", ended.stdout)
    assert "'spnet.cli.train'" in ended.stderr
    for slow in ("torch", "lightning", "timm", "numpy", "rich"):
        assert f"'{slow}'" not in ended.stderr


def test_help_of_train_loads_no_lightning() -> None:
    code = "import sys, spnet.cli.main\nspnet.cli.main.build_parser(['train'])\nprint(sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "'pydantic'" in ended.stdout
    for slow in ("lightning", "timm", "torchvision"):
        assert f"'{slow}'" not in ended.stdout


@pytest.mark.parametrize("command", [["list"], ["runs", "."]])
def test_lists_load_no_torch(command: list[str], tmp_path: Path) -> None:
    """PyTorch takes seconds to load, and to read names and metrics needs none of it."""
    evaluate(make_run(tmp_path / "run"))
    code = f"import sys\nfrom spnet.cli.main import main\nassert main({command}) == 0\nsys.exit('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr


def list_options(parser: argparse.ArgumentParser, command: str) -> Iterator[str]:
    """One line for each option of a command: its names, choices and default."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from list_options(inner, f"{command} {name}")
        elif not isinstance(action, argparse._HelpAction):
            names = "/".join(action.option_strings) or action.dest.upper()
            choices = f" {{{','.join(map(str, action.choices))}}}" if action.choices else ""
            default = "" if action.default is None or action.default is False else f" = {action.default}"
            yield f"{command} {names}{choices}{default}{' (required)' if action.required else ''}"


def list_keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """One line for each key of a configuration with its default."""
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from list_keys(value, f"{prefix}{name}.")
        else:
            yield f"train --{prefix}{name} = {value!r}"


def test_options_are_pinned() -> None:
    lines = [*list_keys(to_plain(RunConfig()))]
    for name in COMMANDS:
        subparsers = build_parser([name])._subparsers
        assert subparsers is not None
        choices = subparsers._group_actions[0].choices
        assert isinstance(choices, dict)
        lines += list_options(choices[name], name)
    assert_golden(GOLDEN, "\n".join(sorted(lines)) + "\n")
