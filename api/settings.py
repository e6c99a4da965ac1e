"""Settings, from the environment. There is no file of settings.

DATABASE_URL   the PostgreSQL to use (15 or later); without it Daybook runs one of its own
DAYBOOK_DATA   where the embedded PostgreSQL keeps its data
DAYBOOK_HOST   the address to serve on (127.0.0.1)
DAYBOOK_PORT   the port to serve on (8000, or the next free one when this is not set)
DAYBOOK_PROJECTIONS   `off`: the service keeps no projections; `daybook projections run` does
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sql.embedded import default_data_dir

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


class SettingsError(ValueError):
    """A setting cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. `port` None: nobody named one. `projecting`: in the service's process."""

    database_url: str | None = field(repr=False)  # it may hold a password
    data_dir: Path
    host: str
    port: int | None
    projecting: bool


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment; an empty value counts as none (SettingsError)."""
    port = environment.get("DAYBOOK_PORT") or None
    if port is not None and not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise SettingsError(f"DAYBOOK_PORT is {port!r}, which is not a port number.")
    projecting = environment.get("DAYBOOK_PROJECTIONS") or "on"
    if projecting not in ("on", "off"):
        raise SettingsError(f"DAYBOOK_PROJECTIONS is {projecting!r}, which is neither on nor off.")
    return Settings(
        database_url=environment.get("DATABASE_URL") or None,
        data_dir=default_data_dir(),
        host=environment.get("DAYBOOK_HOST") or DEFAULT_HOST,
        port=None if port is None else int(port),
        projecting=projecting == "on",
    )
