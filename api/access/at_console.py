"""What the commands at the console do with what needs a second person.

Here a person is a user of the operating system, `console:<name>`.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NoReturn

import click

from api.access.approvals import (
    APPROVAL_REQUIRED,
    AlreadyDecided,
    ApprovalNotFound,
    Approvals,
    Asking,
    SamePerson,
)
from api.access.keys import KeyRing
from api.console import explain, show_json
from api.database import opened
from api.settings import Settings
from ledger.batch import Refusal
from ledger.commands import Command
from ledger.text import whose


def person() -> str:
    """Whoever runs this process."""
    return f"console:{pwd.getpwuid(os.geteuid()).pw_name}"


@contextmanager
def approvals_of(settings: Settings) -> Iterator[Approvals]:
    """The approvals of the settings' database."""
    with opened(settings) as database, closing(KeyRing(database.conninfo)) as keys:
        try:
            yield keys.approvals
        except ApprovalNotFound as error:
            raise click.ClickException(f"No approval has the id {error}.") from error
        except SamePerson as error:
            raise click.ClickException(f"{error} asked for it: a second person decides.") from error
        except AlreadyDecided as error:
            raise click.ClickException(f"Too late: it is {error}.") from error


def refuse(settings: Settings, ledger: str, command: Command, refusal: Refusal, json_: bool) -> NoReturn:
    """End with a refusal, or with what waits for a second person now (click.ClickException)."""
    if refusal.rejection.code == APPROVAL_REQUIRED:
        asking = Asking([command], False, command.key, refusal.rejection)
        with approvals_of(settings) as approvals:
            [waiting] = approvals.ask(*whose(ledger), person(), [asking])
        if json_:
            show_json(waiting)
        raise click.ClickException(
            f"Waits for a second person as approval {waiting.id}, {waiting.status}: "
            f"{explain(refusal.rejection)}"
        )
    if json_:
        show_json(refusal.rejection)
    before = ", as when this key was first used" if refusal.replayed else ""
    raise click.ClickException(f"Refused{before}: {explain(refusal.rejection)}")
