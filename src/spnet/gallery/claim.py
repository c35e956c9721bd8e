"""Keeps other writers out of an index on an object store, where no file can be locked.

A writer enters its claim in a table of one row, and renews it while it works. The claim of a killed process ends by
itself. Lance commits conditionally, so of two that enter theirs at once one succeeds. The clocks of the machines have
to agree to some seconds.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from secrets import token_hex
from threading import Event, Thread
from time import time
from typing import Any

from spnet.errors import UserError
from spnet.gallery.lance import ERRORS

LASTS, RENEWED = 120.0, 30.0  # seconds
NOBODY = [{"id": "", "holder": "", "until": 0.0}]  # the table's row at first


class Claim:
    """The claim of one writer on the index at `uri`, entered in a table of LanceDB."""

    def __init__(self, table: Any, uri: str) -> None:
        self._table, self._uri = table, uri
        self._id, self._until = token_hex(8), 0.0
        self._ended = Event()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the claim while the block runs. Raises UserError where another process has one."""
        self.take()
        renewal = Thread(target=self._keep_renewing, name="claim", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            self._ended.set()
            renewal.join()
            with suppress(*ERRORS):  # it ends by itself
                self._table.update(where=f"id = '{self._id}'", values={"until": 0.0})
                self._table.optimize(cleanup_older_than=timedelta(hours=1))

    def check(self) -> None:
        """Raise UserError where the claim could not be renewed: another process may be writing now."""
        if time() > self._until:
            raise UserError(f"index {self._uri}: the claim of this process has ended; run the same command again")

    def take(self) -> None:
        """Enter the claim. Raises UserError where another process has one."""
        now = time()
        mine = {"id": self._id, "holder": f"process {os.getpid()} of {socket.gethostname()}", "until": now + LASTS}
        if self._table.update(where=f"until < {now}", values=mine).rows_updated:
            self._until = now + LASTS
            return
        (other,) = self._table.search().to_arrow().to_pylist()
        left = max(1, round(other["until"] - now))
        raise UserError(
            f"index {self._uri}: {other['holder']} is writing there; wait for it (if it was killed, {left} seconds)"
        )

    def renew(self) -> None:
        """Move the claim's end, unless it is another's by now."""
        until = time() + LASTS
        renewed = self._table.update(where=f"id = '{self._id}'", values={"until": until}).rows_updated
        self._until = until if renewed else 0.0

    def _keep_renewing(self) -> None:
        while not self._ended.wait(RENEWED):
            with suppress(*ERRORS):  # tried again
                self.renew()
