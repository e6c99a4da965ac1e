"""Parquet: the same tables, typed, written one row group at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow
import pyarrow.parquet

from projections.exports.folder import Folder, OutFile
from projections.exports.tables import DAY, FLAG, INT32, INT64, JSON, MOMENT, TEXT, Table

# A row group is full at either, so that it is neither tiny nor large in memory.
GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 24

_TYPES = {
    TEXT: pyarrow.string(),
    JSON: pyarrow.string(),
    INT32: pyarrow.int32(),
    INT64: pyarrow.int64(),
    FLAG: pyarrow.bool_(),
    MOMENT: pyarrow.timestamp("us", tz="UTC"),
    DAY: pyarrow.date32(),
}
# Columns that may lack a value; all others are declared never to.
_NULLABLE = {"batch_index", "batch_size", "closed_seq"}


class _ParquetFile:
    def __init__(self, file: OutFile, table: Table) -> None:
        self._file = file
        file.rows = 0
        self._schema = pyarrow.schema(
            [
                pyarrow.field(column.name, _TYPES[column.kind], nullable=column.name in _NULLABLE)
                for column in table.columns
            ]
        )
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = self._bytes = 0

    def write(self, rows: list[tuple[Any, ...]]) -> None:
        columns = [
            pyarrow.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        batch = pyarrow.record_batch(columns, schema=self._schema)
        self._waiting.append(batch)
        self._rows += len(rows)
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._group()

    def _group(self) -> None:
        if self._waiting:
            self._writer.write_table(pyarrow.Table.from_batches(self._waiting), row_group_size=self._rows)
            assert self._file.rows is not None
            self._file.rows += self._rows
            self._waiting, self._rows, self._bytes = [], 0, 0

    def finish(self) -> None:
        self._group()
        self._writer.close()


class ParquetTables:
    """The book as tables in the folder `parquet`."""

    def __init__(self, folder: Folder, tables: Iterable[Table]) -> None:
        self._files = {
            table.name: _ParquetFile(folder.create(parquet_path(table)), table) for table in tables
        }

    def write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        """Append rows."""
        if rows:
            self._files[table.name].write(rows)

    def finish(self) -> None:
        """Write what is held back, and the footers."""
        for file in self._files.values():
            file.finish()


def parquet_path(table: Table) -> str:
    """Where a table lies in the folder."""
    return f"parquet/{table.name}.parquet"
