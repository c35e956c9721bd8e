"""`spnet app DIR`: a page on this machine to look for people in an index."""

import argparse
from pathlib import Path

from spnet.cli.options import add_network_options, check_network_options

SUMMARY = "open a page on this machine: click a person in a video, see where else they are"

EXAMPLES = """
examples:
  spnet app people.index
  spnet app people.index --retention 30d
  spnet app people.index --host 0.0.0.0 --token "$(openssl rand -hex 16)"     (others may reach it)

Nothing is sent anywhere. What the page keeps and logs: docs/app.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet app`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("index", metavar="DIR|URI", help="an index made by `spnet index`")
    parser.add_argument("--host", default="127.0.0.1", help="another than this machine's own needs --token")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="(default %(default)s)")
    parser.add_argument("--token", metavar="TEXT", help="16 letters and more that every browser has to know")
    parser.add_argument("--retention", metavar="30d", help="first remove all that was seen longer ago, for good")
    parser.add_argument("--purpose", metavar="TEXT", help="what the index is searched for (else the page asks)")
    parser.add_argument("--weights", type=Path, metavar="RUN|FILE|hf:NAME", help="the network, if it has been moved")
    add_network_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Serve until Ctrl-C. Raises UserError."""
    from spnet.extras import import_extra
    from spnet.gallery.gallery import Gallery

    check_network_options(arguments)
    uvicorn = import_extra("uvicorn")
    import_extra("fastapi")
    from spnet.app.guard import Access
    from spnet.app.server import create_app, delete_older, listen
    from spnet.app.state import AppState

    Access(arguments.host, arguments.port, arguments.token)  # refused before anything is done

    def open_gallery() -> Gallery:
        return Gallery.open(arguments.index, arguments.weights, arguments.device, arguments.batch_size)

    gallery = open_gallery()
    if arguments.retention:
        gone = delete_older(gallery, arguments.retention)
        print(f"--retention {arguments.retention}: {gone:,} tracklets deleted")
    listening = listen(arguments.host, arguments.port)
    access = Access(arguments.host, listening.getsockname()[1], arguments.token)
    state = AppState(gallery, open_gallery, access.is_local, arguments.retention)
    if arguments.purpose:
        state.set_purpose(arguments.purpose)
    name = f"[{access.host}]" if ":" in access.host else access.host
    query = f"?token={access.token}" if access.token else ""
    print(f"open http://{name}:{access.port}/{query}   (Ctrl-C ends it)", flush=True)
    app = create_app(state, access)
    config = uvicorn.Config(app, log_level="warning", server_header=False, proxy_headers=False, ws="none")
    uvicorn.Server(config).run([listening])
