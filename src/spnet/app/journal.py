"""What was done with an index and why: lines of JSON that are only ever appended, beside the tables."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from spnet.errors import UserError

NAME = "log.jsonl"


class Journal:
    """The log of an index in a folder; one on an object store (None) has none."""

    def __init__(self, folder: Path | None) -> None:
        self.file = None if folder is None else folder / NAME

    def append(self, action: str, purpose: str | None, **what: object) -> None:
        """Write one line, with the time (UTC). Raises UserError where it cannot be written."""
        if self.file is None:
            return
        line = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "action": action, "purpose": purpose, **what}
        data = f"{json.dumps(line, ensure_ascii=False)}\n".encode()
        try:
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.write(handle, data)  # one call: lines of several processes do not mix
            finally:
                os.close(handle)
        except OSError as error:
            raise UserError(f"{self.file}: cannot be written: {error.strerror}") from None
