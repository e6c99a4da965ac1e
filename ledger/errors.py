"""What the writer and the readers raise: never a refusal, which is an outcome, but that there is none."""

from __future__ import annotations


class WriterError(Exception):
    """The command was not decided, or its outcome could not be learned; nothing about it is remembered."""


class LedgerNotFound(WriterError):
    """No ledger of this name is open."""


class Overloaded(WriterError):
    """Too many commands are waiting; nothing was done."""


class ClockBehind(WriterError):
    """The database's clock is more than 10 s behind the ledger's last event; nothing was done."""


class Unavailable(WriterError):
    """The database could not be reached. The outcome is unknown: ask again with the same key."""


class Defect(WriterError):
    """A defect of ours: the database refused what was decided, or the writer failed. The same key is safe."""


class Stopped(Defect):
    """What is due in the ledger cannot be decided, and so nothing else: `daybook doctor` says since when."""
