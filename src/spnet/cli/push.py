"""`spnet push RUN ORG/NAME`: a finished run on the Hugging Face Hub, with a model card."""

import argparse
from pathlib import Path

SUMMARY = "upload a finished run to the Hugging Face Hub, with a model card written from it"

EXAMPLES = """
examples:
  spnet push runs/prw my-org/spnet-prw --dry-run card       (look at card/README.md first)
  spnet push runs/prw my-org/spnet-prw --license cc-by-nc-4.0 --private
  spnet evaluate hf:my-org/spnet-prw --data data/prw

The login is that of `hf auth login` or HF_TOKEN; HF_ENDPOINT names another hub.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet push`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("weights", metavar="RUN|FILE", help="a finished run's folder, or a weights file")
    parser.add_argument("name", metavar="ORG/NAME", help="the model on the hub; made if it does not exist")
    parser.add_argument(
        "--dry-run", type=Path, metavar="DIR", help="write what would be uploaded into this new folder, upload nothing"
    )
    parser.add_argument(
        "--license", default="unknown", metavar="ID", help="of the weights, as the hub names it (default %(default)s)"
    )
    parser.add_argument("--private", action="store_true", default=None, help="visible to its owners alone")
    parser.add_argument("--revision", metavar="BRANCH", help="the branch to commit to (default main)")


def run(arguments: argparse.Namespace) -> None:
    """Upload, and print where it is. Raises UserError."""
    from spnet.files import atomic_directory
    from spnet.publish import push_run, write_model_folder

    if arguments.dry_run:
        with atomic_directory(arguments.dry_run, "--dry-run") as folder:
            write_model_folder(arguments.weights, folder, arguments.name, arguments.license)
        print(f"nothing is uploaded; what would be is in {arguments.dry_run}")
        return
    commit = push_run(arguments.weights, arguments.name, arguments.license, arguments.private, arguments.revision)
    print(f"uploaded: {commit}\nload it:  SPNet.from_pretrained({arguments.name!r}), --weights hf:{arguments.name}")
