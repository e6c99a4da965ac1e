"""Another time for a database: `clock_timestamp()` that can be moved, and nothing else changed.

The function stands in a schema before pg_catalog in the database's search_path, so that what asks for the
clock in that database gets the moved one. Connections made before `moved` keep the old path.
"""

from __future__ import annotations

import psycopg
from psycopg import sql as composed


class Clock:
    """The clock of one database."""

    def __init__(self, conninfo: str) -> None:
        """Install it, showing the real time."""
        self._conninfo = conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC;"
                " CREATE TABLE fake.shift (by interval NOT NULL); INSERT INTO fake.shift VALUES ('0');"
                " GRANT SELECT ON fake.shift TO PUBLIC;"
                " CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE"
                " AS 'SELECT pg_catalog.clock_timestamp() + by FROM fake.shift'"
            )
            connection.execute(
                composed.SQL("ALTER DATABASE {} SET search_path = fake, pg_catalog, public").format(
                    composed.Identifier(connection.info.dbname)
                )
            )

    def shift(self, seconds: float) -> None:
        """Show the real time and so many seconds."""
        with psycopg.connect(self._conninfo) as connection:
            connection.execute("UPDATE fake.shift SET by = make_interval(secs => %s)", (seconds,))
