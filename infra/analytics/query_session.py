"""SQL over relations: each that a statement names is read into a Parquet file, over which DuckDB gets a view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from infra.analytics.relation import Relation
from infra.analytics.table_file import write_file
from infra.error import OperatorError


class TableName(NamedTuple):
    """A table as a statement names it; an empty schema for none."""

    schema: str
    name: str


class QuerySession:
    """A DuckDB database in memory that only reads; files are removed at the end."""

    def __init__(self) -> None:
        # Extensions are never downloaded: all that is used here is built in.
        options = {"autoinstall_known_extensions": "false", "TimeZone": "UTC"}
        self._connection = duckdb.connect(config=options)
        self._folder = TemporaryDirectory(prefix="millrace-sql-")

    def __enter__(self) -> QuerySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._folder.cleanup()

    def table_names(self, statement: str) -> set[TableName]:
        """Return the tables that a statement names, with those that its own WITH clauses define.

        Raises:
            OperatorError: it is no query, or has an error.
        """
        [(text,)] = self._connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
        tree = json.loads(text)
        if tree["error"]:
            raise OperatorError(f"The statement cannot be run: {tree['error_message']}", "Give one SELECT statement.")
        return set(_tables(tree))

    async def add(self, relation: Relation, *, schema: str = "main") -> None:
        """Read a relation and make it a view.

        Args:
            relation: The relation.
            schema: The schema of the view. A hyphen in the relation's name may be written as an underscore there.
        """
        path = Path(self._folder.name) / f"{schema}.{relation.name}.parquet"
        await write_file(relation, path, "parquet")
        self._connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        for name in {relation.name, relation.name.replace("-", "_")}:
            self._connection.execute(f"""CREATE VIEW "{schema}"."{name}" AS FROM read_parquet('{path}')""")

    def query(self, statement: str) -> pa.Table:
        """Run a query.

        Raises:
            OperatorError: DuckDB refuses it.
        """
        try:
            return self._connection.sql(statement).to_arrow_table()
        except duckdb.Error as error:
            raise OperatorError(f"The statement cannot be run: {error}", "See `millrace sql --help`.") from error


def _tables(tree: Any) -> Iterator[TableName]:
    if isinstance(tree, list):
        for branch in tree:
            yield from _tables(branch)
    elif isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE":
            yield TableName(tree["schema_name"], tree["table_name"])
        for branch in tree.values():
            yield from _tables(branch)
