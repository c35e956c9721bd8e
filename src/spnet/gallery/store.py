"""The tables of an index in LanceDB, in a folder or on an object store: written part by part, deleted for good.

Lance has no transaction over several tables. So a part of a file is written in three commits, its detections, its
tracklets, and last the file's row with one part more, which acknowledges both. Rows of parts that are not acknowledged
are removed before anything else is written.
"""

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.files import exclusive_lock
from spnet.gallery import schema
from spnet.gallery.claim import NOBODY, Claim
from spnet.gallery.lance import ERRORS, Row, as_arrow, connect, lance_errors, local_folder, one_of, quote
from spnet.gallery.schema import ABOUT, DETECTIONS, SOURCES, TRACKLETS, WRITER, SourceRow

REWRITE_BATCH = 8192
PROBES = 40  # cells of the approximate index that are looked into
FILTERED_PROBES = 200  # with a filter, which leaves few rows in each
REFINE = 5  # times as many candidates of the approximate index are compared exactly,
CANDIDATES = 50  # and this many at least
BITS = 3  # that the approximate index keeps of each number of an embedding


class Store:
    """The tables of one index. Made by `create` or `open`."""

    def __init__(self, uri: str, connection: Any) -> None:
        self.uri = uri
        self._connection = connection
        self._claim: Claim | None = None
        self._tables: dict[str, Any] = {}  # Any: lancedb's own types name neither queries nor results fully

    @classmethod
    def find(cls, uri: str) -> "Store | None":
        """Open an index, None where there is none. Raises UserError where an object store cannot be read."""
        if local_folder(uri) is not None and not Path(uri).is_dir():
            return None
        store = cls(uri, connect(uri))
        return store if store.exists() else None

    @classmethod
    def open(cls, uri: str) -> "Store":
        """Open an index. Raises UserError where there is none."""
        if (store := cls.find(uri)) is None:
            raise UserError(f"index {uri}: there is no index; make one with `spnet index`")
        return store

    @classmethod
    def create(cls, uri: str, dims: int, about: Mapping[str, object]) -> "Store":
        """Make an index of embeddings of `dims` numbers, or open the one that is there. Raises UserError."""
        folder = local_folder(uri)
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UserError(f"index {uri}: is a file, not a folder")
        store = cls(uri, connect(uri))
        if not store.exists():
            with store.lock():
                if not store.exists():  # no other process has made it meanwhile
                    store._make(dims, about)
        return store

    def _make(self, dims: int, about: Mapping[str, object]) -> None:
        tables = {
            TRACKLETS: schema.tracklet_schema(dims),
            DETECTIONS: schema.detection_schema(dims),
            SOURCES: schema.source_schema(),
            ABOUT: schema.about_schema(),  # the last one: with it the index exists
        }
        with self._writing():
            for name, columns in tables.items():
                self._connection.create_table(name, schema=columns, exist_ok=True)
        self.set_about(**about)

    def exists(self) -> bool:
        """Whether all tables are there, and the index says what it is."""
        with self._reading():
            names = set(self._connection.list_tables().tables)
        return {TRACKLETS, DETECTIONS, SOURCES, ABOUT} <= names and "fingerprint" in self.about()

    def lock(self) -> AbstractContextManager[None]:
        """Keep other writers out. Raises UserError where another process writes."""
        folder = local_folder(self.uri)
        return exclusive_lock(folder) if folder is not None else self._hold_claim()

    @contextmanager
    def _hold_claim(self) -> Iterator[None]:
        with self._writing():
            claim = Claim(self._connection.create_table(WRITER, data=NOBODY, exist_ok=True), self.uri)
        with claim.hold():
            self._claim = claim
            try:
                yield
            finally:
                self._claim = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A write that fails, on a full disk for example, is a user's concern, reported in one line."""
        if self._claim is not None:
            self._claim.check()
        with lance_errors(self.uri, "cannot be written", "; what was acknowledged is kept"):
            yield

    def _reading(self) -> AbstractContextManager[None]:
        """A read that fails, as an object store may, is reported in one line too."""
        return lance_errors(self.uri, "cannot be read", errors=ERRORS)

    def table(self, name: str) -> Any:
        """A table as it is now."""
        with self._reading():
            if name not in self._tables:
                self._tables[name] = self._connection.open_table(name)
            self._tables[name].checkout_latest()
        return self._tables[name]

    def about(self) -> dict[str, Any]:
        """What is kept about the index as a whole."""
        return {row["name"]: json.loads(row["value"]) for row in self.rows(ABOUT)}

    def set_about(self, **values: object) -> None:
        """Keep JSON values about the index as a whole."""
        rows = [{"name": name, "value": json.dumps(value)} for name, value in values.items()]
        self.upsert(ABOUT, "name", rows)

    def sources(self) -> list[SourceRow]:
        """All files, in the order of their names."""
        return sorted((SourceRow(**row) for row in self.rows(SOURCES)), key=lambda row: row.file)

    def source_ids(self, files: Iterable[str | Path]) -> list[str]:
        """The ids of indexed files. Raises UserError for one that is not in the index."""
        known = {source.file: source.id for source in self.sources()}
        wanted = [str(Path(file).absolute()) for file in files]
        if missing := [file for file in wanted if file not in known]:
            raise UserError(f"{missing[0]}: not in the index")
        return [known[file] for file in wanted]

    def tracklets(self, ids: Sequence[str], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Tracklets in this order; `columns` have to hold `id`. Raises UserError for an id there is not."""
        rows = {row["id"]: row for row in self.rows(TRACKLETS, one_of("id", ids), columns)} if ids else {}
        if missing := [identity for identity in ids if identity not in rows]:
            raise UserError(f"tracklet {missing[0]}: there is none of this id in the index")
        return [rows[identity] for identity in ids]

    def detections(self, source: str, first: float, last: float) -> list[dict[str, Any]]:
        """Detections of a file (its id) between two places (seconds)."""
        return self.rows(DETECTIONS, f"source = {quote(source)} AND time >= {first} AND time <= {last}")

    def announce(self, sources: Sequence[SourceRow]) -> None:
        """Enter files before anything of them is written."""
        self.upsert(SOURCES, "id", [asdict(source) for source in sources])

    def write_part(self, sources: Sequence[SourceRow], tracklets: Sequence[Row], detections: Sequence[Row]) -> None:
        """Write a part of one or more files, then acknowledge it by their rows."""
        for name, rows in ((DETECTIONS, detections), (TRACKLETS, tracklets)):
            if rows:
                with self._writing():
                    table = self.table(name)
                    table.add(as_arrow(rows, table.schema))
        self.announce(sources)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other writers out, once what was written of parts that nobody acknowledged is removed."""
        with self.lock():
            for source in self.sources():
                for name in (TRACKLETS, DETECTIONS) if not source.done else ():
                    self.remove(name, f"source = {quote(source.id)} AND part >= {source.parts}")
            yield

    def rows(self, name: str, where: str | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Rows of a table that fulfil a SQL condition."""
        query = self.table(name).search()
        return self._fetch(query.where(where) if where else query, columns)

    def _fetch(self, query: Any, columns: Sequence[str] | None) -> list[dict[str, Any]]:
        if columns:
            query = query.select(list(columns))
        with self._reading():
            rows: list[dict[str, Any]] = query.to_arrow().to_pylist()
        return rows

    def count(self, name: str, where: str | None = None) -> int:
        """Number of rows that fulfil a SQL condition."""
        table = self.table(name)
        with self._reading():
            return int(table.count_rows(where))

    def nearest(
        self,
        name: str,
        direction: npt.NDArray[np.float32],
        limit: int,
        where: str | None = None,
        columns: Sequence[str] = (),
        exact: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of the smallest cosine distance (`_distance`) to a direction (E,), among those that fulfil `where`.

        With `exact` every row is compared, else the approximate index is used if there is one.
        """
        query = self.table(name).search(direction, vector_column_name="embedding").distance_type("cosine").limit(limit)
        if exact:
            query = query.bypass_vector_index()
        else:
            refine = max(REFINE, math.ceil(CANDIDATES / limit))
            query = query.nprobes(FILTERED_PROBES if where else PROBES).refine_factor(refine)
        return self._fetch(query.where(where, prefilter=True) if where else query, columns)

    def upsert(self, name: str, key: str, rows: Sequence[Row]) -> None:
        """Write rows, in the place of those of the same key."""
        if rows:
            table = self.table(name)
            merge = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            with self._writing():
                merge.execute(as_arrow(rows, table.schema))

    def update(self, name: str, where: str, **values: object) -> None:
        """Set columns of the rows that fulfil a SQL condition."""
        with self._writing():
            self.table(name).update(where=where, values=values)

    def remove(self, name: str, where: str) -> None:
        """Remove the rows of a table that fulfil a SQL condition; on the disk they stay until it is compacted."""
        with self._writing():
            self.table(name).delete(where)

    def delete(self, where: Mapping[str, str]) -> None:
        """Remove the rows that fulfil a SQL condition a table, from the disk too."""
        for name, condition in where.items():
            if self.count(name, condition):
                self.remove(name, condition)
                with self._writing():
                    self._rewrite(name)

    def compact(self) -> None:
        """Join small files, and drop the versions of more than an hour ago."""
        for name in (TRACKLETS, DETECTIONS, SOURCES, ABOUT):
            with self._writing():
                self.table(name).optimize(cleanup_older_than=timedelta(hours=1))

    @property
    def dims(self) -> int:
        """Numbers of an embedding."""
        return int(self.table(TRACKLETS).schema.field("embedding").type.list_size)

    def _rewrite(self, name: str) -> None:
        """Write a table anew and drop all its versions: Lance only marks deleted rows, and compacts above a share."""
        table = self.table(name)
        indexed = [index.name for index in table.list_indices()]
        rows = table.search().to_batches(REWRITE_BATCH)
        self._tables[name] = self._connection.create_table(name, data=rows, schema=table.schema, mode="overwrite")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that readers of old versions fail: so they should
            self._tables[name].optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        if indexed:
            self.make_index()

    def make_index(self) -> None:
        """Build the approximate index of the tracklets' embeddings, and those of the columns that filters use.

        Raises UserError where an embedding has no multiple of 8 numbers: the index packs them so.
        """
        from lancedb.index import Bitmap, BTree, IvfRq

        if self.dims % 8:
            raise UserError(
                f"--approximate: embeddings of {self.dims} numbers, it takes a multiple of 8; search exactly"
            )
        table = self.table(TRACKLETS)
        with self._writing():
            table.create_index("embedding", config=IvfRq(distance_type="cosine", num_bits=BITS))
            for column in ("camera", "source"):
                table.create_index(column, config=Bitmap())
            for column in ("first", "last", "clock_first", "clock_last"):
                table.create_index(column, config=BTree())
