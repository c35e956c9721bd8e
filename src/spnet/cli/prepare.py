"""`spnet prepare SOURCE`: convert any source of scenes and persons to a folder in the one annotation format."""

import argparse

SUMMARY = "convert a data set, or make a synthetic one, for training and evaluation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command for each source."""
    from spnet.cli.prepare_sources import add_sources  # the converters are slow to load

    add_sources(parser)


def run(arguments: argparse.Namespace) -> None:
    """Convert, write, and print what was written. Raises UserError."""
    from spnet.cli.prepare_summary import print_summary
    from spnet.files import check_output_is_free

    check_output_is_free(arguments.output)
    converted = arguments.prepare(arguments)
    if converted is not None:
        print_summary(arguments.output, converted)
