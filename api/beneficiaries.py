"""Beneficiaries over HTTP, ours and in the form that Buffr asks for them and for vouchers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from anyio import to_thread
from msgspec import Meta, Raw, Struct, structs

from api.handlers import Call, Reply, carry_out
from api.http import decode_body
from api.problems import Refused, make
from api.queries import Incarnation, Limit
from api.registry import BENEFICIARY, Kept, Person, Turn, turn_of
from ledger import commands as c
from ledger import voucher_reads as reads
from ledger.commands import Name
from ledger.text import of_currency
from ledger.vouchers import commands as v

After = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")]


class BeneficiariesQuery(Struct, forbid_unknown_fields=True):
    """People by name."""

    after: After = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class OfLedgerQuery(Struct, forbid_unknown_fields=True):
    """`ledger` may be left out by a key that sees one only."""

    ledger: Name | None = None
    after: After = ""
    limit: Limit = 100


class VoucherQuery(Struct, forbid_unknown_fields=True):
    """`ledger` may be left out by a key that sees one only."""

    ledger: Name | None = None


class BeneficiaryView(Struct, frozen=True):
    """A registered person. `commitment`, which the book has, is HMAC-SHA256 under `salt` (hex)."""

    beneficiary: str
    name: str
    id_number: str
    phone: str
    buffr_user: str
    registered_at: datetime
    commitment: str
    salt: str


class BeneficiariesPage(Struct, frozen=True):
    """People; `next` continues as `after`, null at the end."""

    beneficiaries: list[BeneficiaryView]
    next: str | None


class ForBuffr(Struct, frozen=True, rename="camel"):
    """A person as Buffr asks for them."""

    id: str
    name: str
    id_number: str
    phone: str
    buffr_user_id: str


class BeneficiariesForBuffr(Struct, frozen=True):
    """People in Buffr's form; `next` continues as `after`."""

    success: bool
    data: list[ForBuffr]
    next: str | None


class VoucherForBuffr(Struct, frozen=True):
    """A voucher in Buffr's form: amounts are of the currency, not of its minor unit."""

    voucher_id: str
    beneficiary_id: str
    status: str
    amount: Raw
    remaining: Raw
    expiry_date: str | None


class VoucherAnswer(Struct, frozen=True):
    """A voucher's status for Buffr."""

    success: bool
    data: VoucherForBuffr


async def register(call: Call) -> Reply:
    """Store who somebody is, then commit to it in the book. A retry commits to the same."""
    person: Person = decode_body(call.operation.decoder, await call.exchange.body())
    async with _turn(call) as turn:
        commitments = await to_thread.run_sync(turn.keep, {call.path["beneficiary"]: person})
        [commitment] = commitments.values()
        registration = v.BeneficiaryRegistration(commitment=commitment)
        return await carry_out(call, call.path, _asked(call, registration))


async def erase(call: Call) -> Reply:
    """Say in the book that somebody is gone, then destroy what is known of them. A retry destroys it too."""
    body: v.BeneficiaryErasure = decode_body(call.operation.decoder, await call.exchange.body())
    async with _turn(call) as turn:
        reply = await carry_out(call, call.path, _asked(call, body))
        await to_thread.run_sync(turn.erase, call.path["beneficiary"])
        return reply


@asynccontextmanager
async def _turn(call: Call) -> AsyncIterator[Turn[Person]]:
    place = await _place(call, call.path["ledger"])
    async with turn_of(call.bridge.registry, *place, BENEFICIARY, call.path["beneficiary"]) as turn:
        yield turn


async def get(call: Call) -> Reply:
    """Who somebody is."""
    place = await _place(call, call.path["ledger"])
    name = call.path["beneficiary"]
    found = await to_thread.run_sync(call.bridge.registry.person, *place, BENEFICIARY, name)
    return Reply(200, _view(found))


async def listed(call: Call) -> Reply:
    """Who they are."""
    found, next_ = await _people(call, call.path["ledger"])
    return Reply(200, BeneficiariesPage(found, next_))


async def for_buffr(call: Call) -> Reply:
    """Who they are, at the path and in the form that Buffr knows."""
    found, next_ = await _people(call, _ledger(call))
    people = [ForBuffr(p.beneficiary, p.name, p.id_number, p.phone, p.buffr_user) for p in found]
    return Reply(200, BeneficiariesForBuffr(True, people, next_))


async def voucher_for_buffr(call: Call) -> Reply:
    """How a voucher stands, at the path and in the form that Buffr knows."""
    found = await call.bridge.read(reads.voucher, call.reader, _ledger(call), call.path["voucher"])
    voucher = VoucherForBuffr(
        found.voucher,
        found.beneficiary,
        found.status,
        of_currency(found.amount, found.asset),
        of_currency(found.remaining, found.asset),
        found.expires_at,
    )
    return Reply(200, VoucherAnswer(True, voucher))


async def _people(call: Call, ledger: str) -> tuple[list[BeneficiaryView], str | None]:
    query: Any = call.query
    place = await _place(call, ledger)
    page = query.after, query.limit
    found = await to_thread.run_sync(call.bridge.registry.persons, *place, BENEFICIARY, *page)
    return [_view(one) for one in found], found[-1].name if len(found) == query.limit else None


def _view(kept: Kept[Person]) -> BeneficiaryView:
    return BeneficiaryView(
        beneficiary=kept.name,
        registered_at=kept.registered_at,
        commitment=kept.commitment,
        salt=kept.salt,
        **structs.asdict(kept.person),
    )


async def _place(call: Call, ledger: str) -> tuple[str, str]:
    """Tenant and ledger, which must be there and the principal's (LedgerNotFound)."""
    await call.bridge.read(call.reader.incarnation, ledger)
    return call.principal.tenant, ledger


def _ledger(call: Call) -> str:
    """The ledger of a path that names none (Refused)."""
    asked: str | None = call.query.ledger
    if asked is not None:
        return asked
    own = call.principal.ledgers
    if own is not None and len(own) == 1:
        return next(iter(own))
    detail = "Which ledger? The key sees more than one."
    raise Refused(make("invalid_request", detail, field="ledger"))


def _asked(call: Call, body: c.Body) -> c.Command:
    exchange, actor = call.exchange, call.principal.actor
    subject = call.path["beneficiary"]
    return c.command(body, subject, key=exchange.key(), actor=actor, request_id=exchange.asked_id)
