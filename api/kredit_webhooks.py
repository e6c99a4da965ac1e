"""What Kredit asks for, at its own paths, in its own form, with the answer in the response.

Each request is verified and stored by the inbox, posted under a key that is its own, and answered from the
book; so a process that dies anywhere on the way has done no more than the same request does when it comes
again. A verification holds its credits before the provider is asked, and frees them when it cannot be.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from anyio import CapacityLimiter, to_thread
from msgspec import Struct, structs

from adapters import kredit
from adapters.adapter import Named
from adapters.inbox.desk import WebhookView
from adapters.inbox.door import Stored
from adapters.inbox.settling import SIGNATURE
from adapters.kyc_client import Document, NotOpened, Opened
from api.handlers import REPLAYED, Call, Handler, Reply
from api.inbox import settled, take_in
from api.kredit_details import CONNECTIONS
from api.problems import CODES, Problem, Refused, make, of_error, of_rejection, of_validation
from ledger import commands as c
from ledger.batch import Outcome, Refusal, Request
from ledger.credits.streams import wallet_stream
from ledger.credits.wallet import Wallet
from ledger.kredit import commands as k
from ledger.kredit import streams as s
from ledger.kredit.billing import period_of
from ledger.reader import Reader
from ledger.rejections import Rejection
from ledger.text import iso, micros, of_all
from projections.deliveries.addresses import AddressRefused
from projections.deliveries.addresses import parse as parse_url

ACTOR = "webhook:kredit"
_asking = CapacityLimiter(CONNECTIONS)


class KreditProblem(Problem, frozen=True, omit_defaults=True, kw_only=True):
    """A problem with what Kredit's contract has: `error`, a word, and `message`; `balance` of credits."""

    error: str
    message: str
    balance: int | None = None


class VerificationAnswer(Struct, frozen=True):
    """A session: where the borrower goes, and until when."""

    session_id: str
    onboarding_url: str
    status: str
    expires_at: str


class TenantAnswer(Struct, frozen=True):
    """A tenant as we know it; `created` by this request, or before."""

    created: bool
    client_id: str
    tenant_id: str
    code: str
    name: str
    message: str


class PaymentAnswer(Struct, frozen=True):
    """A request for a payment, and how it stands."""

    success: bool
    id: str
    request_id: str
    status: s.PaymentStatus
    client_id: str


class Contact(Struct, frozen=True):
    """How to reach a tenant."""

    contact_email: str = ""
    contact_phone: str = ""
    company_registration: str = ""


class Asked(Struct, frozen=True):
    """A request as it came in: what stands in it, what names it, where it is stored."""

    call: Call
    stored: Stored
    named: Named
    body: kredit.Body

    @property
    def ledger(self) -> str:
        """Its ledger among those of all tenants."""
        return of_all(self.stored.tenant, self.stored.ledger)

    @property
    def reader(self) -> Reader:
        """Of what belongs to its tenant."""
        return self.call.bridge.reader.of(self.stored.tenant)

    async def stream(self, name: str) -> Any:
        """The state of a stream; None: there is none."""
        found = await self.call.bridge.read(self.reader.stream, self.stored.ledger, name)
        return None if found is None else found[0].state

    async def submit(self, body: c.Body) -> Outcome:
        """What becomes of a command that follows from it, and is refused the second time (WriterError)."""
        [outcome] = await self.call.bridge.submit(self.ledger, Request([_command(body)]))
        return outcome

    def is_open(self, session: str) -> bool:
        """Whether a session is not over; for threads."""
        found = self.reader.stream(self.stored.ledger, s.session_stream(session))
        return found is not None and found[0].state.is_open

    def end(self, session: str, reason: str) -> None:
        """The provider did not open a session: it is over; for threads (WriterError)."""
        report = _command(k.ReportSession(status="failed", reason=reason), session)
        self.call.bridge.execute(self.ledger, Request([report]))

    @property
    def place(self) -> tuple[str, str]:
        """Tenant and ledger."""
        return self.stored.tenant, self.stored.ledger


def _command(body: c.Body, subject: str = "") -> c.Command:
    asked = c.command(body, subject, actor=ACTOR)
    asked.approver = SIGNATURE
    return asked


# ---------------------------------------------------------------- errors in Kredit's form

_WORDS = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "INSUFFICIENT_CREDITS",
    404: "NOT_FOUND",
    409: "CONFLICT",
    422: "CONFLICT",
    502: "GATEWAY_ERROR",
}


def for_kredit(handler: Handler) -> Handler:
    """The handler, whose problems have Kredit's `error` and `message` too."""

    async def answered(call: Call) -> Reply | None:
        try:
            reply = await handler(call)
        except Exception as error:
            problem = of_error(error)
            if problem is None:
                raise
            return Reply(problem.status, in_its_form(problem))
        return reply

    return answered


def in_its_form(problem: Problem) -> KreditProblem:
    """A problem with the words of Kredit's contract."""
    word = _WORDS.get(problem.status, "SERVER_ERROR")
    if problem.code == "kyc_not_configured":
        word = "CONFIG_ERROR"
    available = problem.evidence.get("available")
    return KreditProblem(
        **structs.asdict(problem),
        error=word,
        message=problem.detail or problem.title,
        balance=None if available is None else int(available),
    )


# ---------------------------------------------------------------- taking in


async def _taken(call: Call, type: str) -> Asked:
    """A request, verified and stored (Refused, and the errors of `door.receive`)."""
    parsed: list[tuple[Named, kredit.Body]] = []

    def parse(raw: bytes) -> Named:
        try:
            named, body = kredit.at_path(type)(raw), kredit.body_of(type, raw)
        except msgspec.ValidationError as error:
            raise Refused(of_validation(error)) from None
        _check_targets(body, call.bridge.webhooks.sender.insecure)
        if type == kredit.VERIFICATION and call.bridge.kyc is None:
            raise Refused(make("kyc_not_configured"))
        parsed.append((named, body))
        return named

    stored = await take_in(call, "kredit", None, parse)
    [(named, body)] = parsed
    return Asked(call, stored, named, body)


def _check_targets(body: kredit.Body, insecure: bool) -> None:
    for name in ("webhook_url", "decision_webhook_url"):
        target = getattr(body, name, None)
        if target is not None and not target.startswith("/"):
            try:
                parse_url(target, insecure=insecure)
            except AddressRefused as error:
                raise Refused(make("invalid_request", f"Of the URL, {error}.", field=name)) from None


async def _known(asked: Asked) -> s.Tenant:
    """The tenant of a request, opened or told anew if there is something new (Refused)."""
    told = kredit.tenant_of(asked.body)
    name = s.tenant_stream(told.tenant)
    tenant: s.Tenant | None = await asked.stream(name)
    new = [what for what in ("slug", "name") if getattr(told, what)]
    if tenant is None or any(getattr(tenant, what) != getattr(told, what) for what in new):
        outcome = await asked.submit(told)
        if isinstance(outcome, Refusal) and outcome.rejection.code != "already_recorded":
            raise Refused(of_rejection(outcome.rejection))
        tenant = await asked.stream(name)
    assert tenant is not None
    return tenant


def _check_posted(found: WebhookView) -> None:
    """What was parked is a problem (Refused)."""
    if found.state == "posted":
        return
    code = found.reason if found.reason in CODES else "internal_error"
    raise Refused(make(str(code), found.detail or ""))


def _headers(asked: Asked) -> tuple[tuple[bytes, bytes], ...]:
    return (REPLAYED,) if asked.stored.received.duplicate else ()


# ---------------------------------------------------------------- tenants


async def tenant_created(call: Call) -> Reply:
    """A tenant; one that is there already is told so."""
    asked = await _taken(call, kredit.TENANT)
    body = asked.body
    assert isinstance(body, kredit.TenantBody)
    name = s.tenant_stream(body.tenant_id)
    known = await asked.stream(name) is not None
    _check_posted(await settled(call, asked.stored))
    tenant: s.Tenant = await asked.stream(name)
    contact = Contact(body.contact_email or "", body.contact_phone or "", body.company_registration or "")
    if contact != Contact():
        await to_thread.run_sync(call.bridge.kredit.keep, *asked.place, name, contact, limiter=_asking)
    message = "Tenant already exists" if known else "Tenant client created"
    answer = TenantAnswer(not known, tenant.client, tenant.tenant, code_of(tenant), tenant.name, message)
    return Reply(call.operation.status, answer)


def code_of(tenant: s.Tenant) -> str:
    """Our code of a tenant, for people."""
    return "KREDIT_" + (tenant.slug or tenant.tenant).upper().replace(" ", "_")


# ---------------------------------------------------------------- subscriptions


async def payment_requested(call: Call) -> Reply:
    """A payment that somebody must find at the bank; the same request again is answered as it stands."""
    asked = await _taken(call, kredit.PAYMENT)
    body = asked.body
    assert isinstance(body, kredit.PaymentBody)
    tenant = await _known(asked)
    _check_posted(await settled(call, asked.stored))
    payment: s.Payment = await asked.stream(s.payment_stream(body.request_id))
    if not await _is(asked, payment):
        raise Refused(make("kredit_request_differs", evidence={"request": body.request_id}))
    answer = PaymentAnswer(True, payment.request, payment.request, payment.status, tenant.client)
    return Reply(call.operation.status, answer, _headers(asked))


async def _is(asked: Asked, payment: s.Payment) -> bool:
    """Whether a request asks for the payment that is known by its id."""
    body = kredit.command_of(asked.body, "")
    assert isinstance(body, k.RequestPayment)
    view = await asked.call.bridge.read(asked.reader.ledger, asked.stored.ledger)
    start, end = period_of(ZoneInfo(view.time_zone), body.period_start, body.period_end)
    about = (body.tenant, body.amount, body.plan, body.payment_reference, body.billing_type)
    known = (payment.tenant, payment.amount, payment.plan, payment.reference, payment.billing_type)
    return about == known and (start.isoformat(), end.isoformat()) == (payment.start, payment.end)


# ---------------------------------------------------------------- verifications


async def verification_requested(call: Call) -> Reply:
    """A session with its credits held; the same request again, while it is open, is answered the same."""
    asked = await _taken(call, kredit.VERIFICATION)
    await _known(asked)
    found = await settled(call, asked.stored)
    if found.reason == "verification_unpaid":
        raise Refused(await _unpaid(asked))
    _check_posted(found)
    session = await _session(asked)
    if not session.is_open:
        session = await _another(asked)
    answer = await to_thread.run_sync(partial(_opened, asked, session), limiter=_asking)
    if isinstance(answer, NotOpened):
        raise Refused(make("kyc_unavailable", answer.reason))
    return Reply(call.operation.status, answer, _headers(asked))


async def _session(asked: Asked) -> s.Session:
    """The last session that the request was given."""
    requested: s.Requested = await asked.stream(s.request_stream(kredit.request_of(asked.named)))
    session: s.Session = await asked.stream(s.session_stream(requested.session))
    return session


async def _another(asked: Asked) -> s.Session:
    """A session after one that is over (Refused). However many ask at once, they get one."""
    outcome = await asked.submit(kredit.command_of(asked.body, kredit.request_of(asked.named)))
    if isinstance(outcome, Refusal) and outcome.rejection.code != "verification_open":
        raise Refused(of_rejection(outcome.rejection))
    return await _session(asked)


async def _unpaid(asked: Asked) -> Problem:
    """What is missing now: of a parked webhook there is a sentence alone."""
    kept: s.Rules | None = await asked.stream(s.RULES)
    rules = k.KreditRules() if kept is None else kept.rules
    wallet: Wallet | None = await asked.stream(wallet_stream(asked.body.tenant_id, rules.credit_type))
    evidence = {
        "tenant": asked.body.tenant_id,
        "required": str(rules.price),
        "available": str(0 if wallet is None else wallet.available),
    }
    return of_rejection(Rejection("verification_unpaid", evidence))


def _opened(asked: Asked, session: s.Session) -> VerificationAnswer | NotOpened:
    """Where the borrower goes, as the provider says: it is asked once, and its answer kept.

    A session that it does not open is over before the next request can ask for the same one: otherwise that
    one could be told of an address whose session the first is about to end.
    """
    bridge, body = asked.call.bridge, asked.body
    assert isinstance(body, kredit.VerificationBody)
    assert bridge.kyc is not None
    provider = bridge.kyc
    document = Document(body.document_name, body.document_number, body.document_type or "1")
    failed: list[NotOpened] = []

    def ask() -> VerificationAnswer | None:
        if not asked.is_open(session.session):
            failed.append(NotOpened("The session is over already: ask for another one."))
            return None
        opened = provider.open(session.session, document)
        if isinstance(opened, Opened):
            ends_at = session.ends_at
            if opened.expires_at is not None:
                ends_at = min(ends_at, micros(opened.expires_at))
            return VerificationAnswer(session.session, opened.onboarding_url, "pending", iso(ends_at))
        asked.end(session.session, opened.reason)
        failed.append(opened)
        return None

    name = s.session_stream(session.session)
    return bridge.kredit.once(*asked.place, name, VerificationAnswer, ask) or failed[0]
