"""Credit providers over HTTP: their keys and webhooks, the leads they are sent, and what they answer."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

from anyio import to_thread
from msgspec import Struct

from api.access.handlers import check_within
from api.access.keys import Grant
from api.handlers import Call, Reply, carry_out
from api.http import decode_body
from api.lead_bodies import CONTACT, LEAD, Contact, LeadRequest, Registration
from api.problems import Problem, Refused, make
from api.provider_reading import check_own
from api.registry import turn_of
from api.webhooks import check_url
from ledger import commands
from ledger import provider_reads as reads
from ledger.providers import commands as c
from ledger.reader import Reader
from ledger.views import Acknowledged
from projections.deliveries import subscriptions

ROLE = "provider"


class Credentials(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Shown this once: the key, and the secret that webhooks are signed with, if there is a webhook."""

    provider_id: str
    api_key: str = ""
    webhook_secret: str = ""


class Registered(Struct, frozen=True, rename="camel"):
    """A credit provider that was registered. Asked again, the answer has no secrets."""

    success: bool
    provider_id: str
    status: Literal["pending"]
    api_credentials: Credentials
    onboarding_checklist: tuple[str, ...]


class Notified(Struct, frozen=True, rename="camel"):
    """A credit provider that got the lead; the expected response time in hours, null before any."""

    provider_id: str
    provider_name: str
    score: int
    expected_response_time: int | None


class Distributed(Struct, frozen=True, rename="camel"):
    """To whom a lead was sent, the best score first; the longest of the expected response times."""

    success: bool
    distribution_id: str
    providers_notified: int
    estimated_response_time: int | None
    distribution: list[Notified]


class DecisionTaken(Struct, frozen=True, rename="camel"):
    """A credit provider's answer was recorded."""

    success: bool
    accepted: bool
    next_steps: tuple[str, ...]


CHECKLIST = (
    "Your licences are looked at, and terms agreed on: lead fee, tax, servicing rate",
    "You are activated, and get leads from then on",
    "Verify x-caas-signature of a webhook with the secret, and fetch the lead with the key",
)
NEXT_STEPS = {
    "approved": (
        "The borrower sees the offer until it expires",
        "The borrower accepts one offer, or none",
        "Accepted, it is disbursed from the funds that you have given",
    ),
    "rejected": ("Nothing more: the lead is closed for you",),
}


# ---------------------------------------------------------------- commands


async def _body(call: Call) -> Any:
    raw = await call.exchange.body()
    return decode_body(call.operation.decoder, raw or call.operation.empty_body)


def _asked(call: Call, body: commands.Body, subject: str) -> commands.Command:
    exchange, actor = call.exchange, call.principal.actor
    return commands.command(body, subject, key=exchange.key(), actor=actor, request_id=exchange.asked_id)


def _subject(call: Call) -> str:
    """All that the path names below the ledger."""
    return ":".join(str(value) for name, value in call.path.items() if name != "ledger")


async def command(call: Call) -> Reply:
    """One command of ours."""
    return await carry_out(call, call.path, _asked(call, await _body(call), _subject(call)))


async def decide(call: Call) -> Reply:
    """A credit provider's answer to one of its leads."""
    body: c.LeadDecision = await _body(call)
    await call.bridge.read(call.reader.incarnation, call.path["ledger"])
    check_own(call)
    for member, said, meant in (
        ("leadId", body.lead_id, call.path["loan"]),
        ("providerId", body.provider_id, call.path["loan_provider"]),
    ):
        if said not in (None, meant):
            raise Refused(make("invalid_request", f"`{member}` is not that of the path.", field=member))
    reply = await carry_out(call, call.path, _asked(call, body, _subject(call)))
    if isinstance(reply.body, Acknowledged):
        reply.body = DecisionTaken(True, True, NEXT_STEPS[body.decision])
    return reply


async def distribute(call: Call) -> Reply:
    """Keep who applies, then send the lead. A retry commits to the same; a refusal keeps nobody."""
    body: LeadRequest = await _body(call)
    call.exchange.key()  # a bad one is refused before anybody is kept
    ledger, registry = call.path["ledger"], call.bridge.registry
    name, tenant = body.lead_id, call.principal.tenant
    await call.bridge.read(call.reader.incarnation, ledger)
    async with turn_of(registry, tenant, ledger, LEAD, name) as turn:
        is_lead = await call.bridge.read(reads.is_lead, call.reader, ledger, name)
        if is_lead:
            commitment = await to_thread.run_sync(turn.known, name, body.lead())
        else:
            [commitment] = (await to_thread.run_sync(turn.keep, {name: body.lead()})).values()
        reply = await carry_out(call, call.path, _asked(call, body.command(commitment), ""))
        if isinstance(reply.body, Problem) and not is_lead:
            await to_thread.run_sync(turn.erase, name)
    if isinstance(reply.body, Acknowledged):
        reply.body = await call.bridge.read(_distributed, call.reader, ledger, name, reply.body.seq)
    return reply


def _distributed(reader: Reader, ledger: str, name: str, seq: int) -> Distributed:
    lead = reads.lead_state(reader, ledger, name)
    notified = [Notified(one, bid.name, bid.score, bid.response_hours) for one, bid in lead.bids.items()]
    hours = [one.expected_response_time for one in notified if one.expected_response_time is not None]
    return Distributed(True, f"dist_{seq}", len(notified), max(hours, default=None), notified)


# ---------------------------------------------------------------- registration


async def register(call: Call) -> Reply:
    """Record it, then make its key and its webhook. A retry makes what an interrupted one has not."""
    body: Registration = await _body(call)
    ledger, principal = call.path["ledger"], call.principal
    await call.bridge.read(call.reader.incarnation, ledger)
    check_within(principal, [ROLE], [ledger], None)
    url = body.technical_requirements.webhook_url
    if url is not None:
        check_url(url, call.bridge.webhooks.sender.insecure, "technicalRequirements.webhookUrl")
    name = body.provider_id or _name(body)
    asked = _asked(call, body.command(), name)
    reply = await carry_out(call, call.path, asked)
    if not isinstance(reply.body, Acknowledged):
        return reply
    async with turn_of(call.bridge.registry, principal.tenant, ledger, CONTACT, name) as turn:
        await to_thread.run_sync(turn.keep, {name: body.contact()})
    credentials = Credentials(name, await _first_key(call, name), await _first_webhook(call, name, url))
    reply.body = Registered(True, name, "pending", credentials, CHECKLIST)
    reply.headers = (*reply.headers, (b"cache-control", b"no-store"))
    return reply


def _name(body: Registration) -> str:
    """A company is registered once."""
    registered = body.business_registration
    whole = f"{registered.registration_country}:{registered.registration_number}"
    return f"provider_{sha256(whole.encode()).hexdigest()[:12]}"


async def _first_key(call: Call, provider: str) -> str:
    ledger, tenant = call.path["ledger"], call.principal.tenant
    for key in await call.bridge.read(call.bridge.keys.list, tenant):
        if key.provider == provider and key.ledgers == [ledger]:
            return ""
    return await _make_key(call, provider)


async def _make_key(call: Call, provider: str) -> str:
    grant = Grant(f"credit provider {provider}", [ROLE], [call.path["ledger"]], None, provider)
    tenant, actor = call.principal.tenant, call.principal.actor
    made = await call.bridge.read(call.bridge.keys.create, tenant, grant, actor)
    return made.secret


async def _first_webhook(call: Call, provider: str, url: str | None) -> str:
    webhooks, ledger = call.bridge.webhooks, call.whole_name(call.path["ledger"])
    if url is None:
        return ""
    for one in await call.bridge.engine.run(subscriptions.subscriptions, ledger):
        if one.provider == provider:
            return ""
    opening = subscriptions.Opening(
        url, scheme="sha256", provider=provider, description=f"Credit provider {provider}"
    )
    made = await call.bridge.engine.run(subscriptions.create, webhooks.vault, ledger, opening)
    return made.secret


class NoMembers(Struct, forbid_unknown_fields=True):
    """Nothing."""


async def make_key(call: Call) -> Reply:
    """Another key of a credit provider; the others stay good until they are revoked."""
    await _body(call)
    ledger, name = call.path["ledger"], call.path["loan_provider"]
    await call.bridge.read(reads.provider, call.reader, ledger, name)
    check_within(call.principal, [ROLE], [ledger], None)
    credentials = Credentials(name, await _make_key(call, name))
    return Reply(call.operation.status, credentials, ((b"cache-control", b"no-store"),))


# ---------------------------------------------------------------- people


async def set_contact(call: Call) -> Reply:
    """Who to talk to from now on."""
    body: Contact = await _body(call)
    ledger, name = call.path["ledger"], call.path["loan_provider"]
    await call.bridge.read(reads.provider, call.reader, ledger, name)
    tenant = call.principal.tenant
    async with turn_of(call.bridge.registry, tenant, ledger, CONTACT, name) as turn:
        await to_thread.run_sync(turn.keep, {name: body})
    return Reply(200, body)


class Erased(Struct, frozen=True, rename="camel"):
    """Of this lead, nobody knows any more who applied."""

    lead_id: str


async def erase_applicant(call: Call) -> Reply:
    """Destroy what is known of who applied; the book keeps a commitment that leads to nobody."""
    ledger, name = call.path["ledger"], call.path["loan"]
    await call.bridge.read(reads.lead_state, call.reader, ledger, name)
    async with turn_of(call.bridge.registry, call.principal.tenant, ledger, LEAD, name) as turn:
        await to_thread.run_sync(turn.erase, name)
    return Reply(200, Erased(name))
