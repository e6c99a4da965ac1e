"""Beneficiaries as the book knows them: a name of ours and a commitment to who it is, never the person.

The commitment is an HMAC under a salt that is kept with the person's data, outside the book. While the data
are there, they prove that they are what was registered; when they are erased, the salt is too, and what
stays in the book is 32 bytes that lead to nobody.
"""

from __future__ import annotations

from ledger.commands import Command
from ledger.entry import effective_moment, refuse
from ledger.product import record
from ledger.state import Accepted, State
from ledger.vouchers import commands as c


def register(state: State, command: Command, now: int) -> Accepted:
    """Register somebody, or what has changed about them."""
    body = command.body
    assert isinstance(body, c.BeneficiaryRegistration)
    data = {"beneficiary": str(command.subject), "commitment": body.commitment}
    at = effective_moment(state, body, now)
    return record(state, command, "beneficiary_registered", now, at, [], [_stream(command)], data)


def erase(state: State, command: Command, now: int) -> Accepted:
    """Say that a person's data are gone."""
    body = command.body
    assert isinstance(body, c.BeneficiaryErasure)
    check_there(state, str(command.subject))
    data = {"beneficiary": str(command.subject), "reason": body.reason}
    at = effective_moment(state, body, now)
    return record(state, command, "beneficiary_erased", now, at, [], [_stream(command)], data)


def check_there(state: State, beneficiary: str) -> None:
    """Nothing is promised to somebody who was never registered, or was erased."""
    stream = state.streams[stream_of(beneficiary)]
    if stream is None or stream.state.erased:
        refuse("beneficiary_not_found", beneficiary=beneficiary)


def stream_of(beneficiary: str) -> str:
    """The stream of a beneficiary."""
    return f"beneficiary:{beneficiary}"


def _stream(command: Command) -> str:
    return stream_of(str(command.subject))
