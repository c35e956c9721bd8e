"""What LanceDB wants and says: where an index lies, SQL conditions, Arrow tables, and its errors in one line."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spnet.errors import UserError
from spnet.extras import import_extra

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Any]
ERRORS = (RuntimeError, OSError, ValueError)  # what LanceDB raises
# where an object store's error says what is wrong
REASON = re.compile(r'<Message>(.+?)</Message>|message: "(.+?)"|(Failed to get AWS credentials)')


@contextmanager
def lance_errors(
    uri: str, what: str, also: str = "", errors: tuple[type[Exception], ...] = (RuntimeError, OSError)
) -> Iterator[None]:
    """Raise UserError naming the index for what LanceDB raises in the block, without the place in its source."""
    try:
        yield
    except UserError:
        raise
    except errors as error:
        said = REASON.search(str(error))
        reason = next(filter(None, said.groups())) if said else str(error).split(", /")[0].splitlines()[0]
        raise UserError(f"index {uri}: {what}: {reason}{also}") from None


def quote(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """The SQL condition that a column has one of the values."""
    return f"{column} IN ({', '.join(map(quote, values))})"


def local_folder(uri: str) -> Path | None:
    """The folder of an index, None for one on an object store."""
    return None if "://" in uri else Path(uri)


def connect(uri: str) -> Any:
    """LanceDB's connection to an index; Any, since its own types name neither queries nor results fully."""
    lancedb = import_extra("lancedb")
    if local_folder(uri) is not None:
        return lancedb.connect(uri)
    # all else of the store, Lance's own object store reads from the environment
    plain = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
    with lance_errors(uri, "cannot be read", errors=ERRORS):
        return lancedb.connect(uri, storage_options={"allow_http": "true"} if plain else None)


def as_arrow(rows: Sequence[Row], columns: "pyarrow.Schema") -> "pyarrow.Table":
    """Rows as a table of these columns has them."""
    pa = import_extra("pyarrow")
    dims = {field.name: field.type.list_size for field in columns if pa.types.is_fixed_size_list(field.type)}
    arrays: list[Any] = []
    for column in columns:
        values = [row[column.name] for row in rows]
        if column.name in dims:
            flat = np.concatenate(values).astype(column.type.value_type.to_pandas_dtype())
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat, column.type.value_type), dims[column.name]))
        else:
            arrays.append(pa.array(values, column.type))
    return pa.Table.from_arrays(arrays, schema=columns)
