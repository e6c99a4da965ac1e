"""What becomes of a stored webhook: it is translated, posted, ignored, parked, or tried again later.

Whoever works on webhooks holds the locks of their rows in an open transaction, posts, and writes down what
became of them in the same one. A process that is killed leaves them as they were, and the next one does it
again: the idempotency key is the provider's name and the event's (or the fact's) own, so what was posted is
found and not posted twice. The key's fingerprint is of the key alone, because a later version may translate
the same event into other commands, and it is still the same event.

A refused key stays refused for ever. So when somebody replays a webhook that the ledger has refused, it is
asked again with a key of its own, which can only be after the refusal was written down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import structlog

from adapters.adapter import Event, Ignore, Park, Post, Translation, decode
from adapters.inbox.connections import QUERIES, utc_now, working_for
from adapters.inbox.endpoints import checked
from adapters.providers import adapter
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.commands import Command
from ledger.errors import Defect, LedgerNotFound, Overloaded, WriterError
from ledger.rejections import CODES
from ledger.text import DEFAULT_TENANT
from ledger.wire import Connection

log = structlog.get_logger(__name__)

Answer = list[Outcome] | WriterError
Submit = Callable[[str, Request, Callable[[Answer], None]], None]

TURN = 50  # webhooks of one tenant that are worked on together
LONGEST_PAUSE = timedelta(minutes=5)
PATIENCE = 20  # attempts, somewhat more than an hour, for what follows from what is not known yet


class Settled(NamedTuple):
    """What is written down. `refused`: a key was used up."""

    state: str
    reason: str | None = None
    detail: str | None = None
    seqs: list[int] | None = None
    refused: int = 0


class Later(NamedTuple):
    """Trouble that passes: nothing is known to have happened, and asking again is safe."""

    reason: str
    detail: str


class Claimed(NamedTuple):
    """A webhook to be worked on, as it is stored; its row is locked."""

    number: int
    ledger: str
    provider: str
    event_id: str
    type: str
    subject: str
    received_at: datetime
    attempts: int
    refusals: int
    body: bytes
    settings: str


class Settler:
    """Settles webhooks. `submit` is a writer's; `now` and `chance` are where time and luck come in."""

    def __init__(
        self,
        submit: Submit,
        now: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._submit = submit
        self._now = now
        self._chance = chance

    def waiting(self, connection: Connection, since: timedelta = timedelta()) -> list[str]:
        """The tenants that have something to be worked on, and have had it for so long."""
        return [tenant for (tenant,) in connection.execute(QUERIES["waiting"], {"now": self._now() - since})]

    def settle(self, connection: Connection, tenant: str, number: int | None = None) -> int:
        """Work on what waits, some of it, or on one; how many there were (psycopg.Error: nothing is lost)."""
        with working_for(connection, tenant):
            asked = {"now": self._now(), "number": number, "most": TURN}
            claimed = [Claimed(*row) for row in connection.execute(QUERIES["claim"], asked, binary=True)]
            ends = [self.begin(tenant, webhook) for webhook in claimed]
            for webhook, end in zip(claimed, ends, strict=True):
                self._write_down(connection, webhook, end())
        return len(claimed)

    def begin(self, tenant: str, webhook: Claimed) -> Callable[[], Settled | Later]:
        """Translate and submit; the function that is returned waits for what became of it."""
        name = webhook.ledger if tenant == DEFAULT_TENANT else f"{tenant}/{webhook.ledger}"
        try:
            translation = _translated(webhook, name)
        except Exception as error:
            log.error("inbox.defect", number=webhook.number, provider=webhook.provider, exc_info=error)
            what = f"The translation failed: {type(error).__name__}. A replay tries it again."
            failed = Settled("failed", "defect", what)
            return lambda: failed
        if not isinstance(translation, Post):
            settled = _set_aside(translation)
            return lambda: settled
        future: Future[Answer] = Future()
        try:
            self._submit(name, _request(webhook, translation), future.set_result)
        except WriterError as error:
            future.set_result(error)
        return lambda: self._then(name, webhook, translation, _outcome(webhook, future.result()))

    def _then(self, ledger: str, webhook: Claimed, post: Post, first: Settled | Later) -> Settled | Later:
        """What follows from what was posted: tried for a while if it is too early for it."""
        if post.then is None or not isinstance(first, Settled) or first.state != "posted":
            return first
        # A refusal is remembered under its key, so each attempt has its own. Only what is accepted counts,
        # and the ledger accepts it once by what it says.
        key = key_of(webhook.provider, f"{webhook.event_id}:then:{webhook.refusals}:{webhook.attempts}")
        future: Future[Answer] = Future()
        try:
            self._submit(ledger, _keyed(webhook, [post.then], key), future.set_result)
        except WriterError as error:
            future.set_result(error)
        end = _outcome(webhook, future.result())
        if isinstance(end, Later):
            return end
        if end.state == "posted":
            return end._replace(seqs=(first.seqs or []) + (end.seqs or []))
        passes = end.reason in CODES and CODES[end.reason].transient
        detail = f"Its money is posted, but: {end.detail}"
        if passes and webhook.attempts < PATIENCE:
            return Later(end.reason or "", detail)
        return end._replace(detail=detail)

    def _write_down(self, connection: Connection, webhook: Claimed, end: Settled | Later) -> None:
        now = self._now()
        named: dict[str, Any] = {**end._asdict(), "number": webhook.number, "now": now}
        if isinstance(end, Settled):
            connection.execute(QUERIES["settle"], named)
            return
        log.warning("inbox.later", number=webhook.number, reason=end.reason)
        next_at = now + pause(webhook.attempts, self._chance())
        connection.execute(QUERIES["postpone"], named | {"next_at": next_at})


def pause(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts and one more: 1, 2, 4, ... s, at most five minutes,
    jittered."""
    return min(timedelta(seconds=2 ** min(attempts, 20)), LONGEST_PAUSE) * (0.5 + chance / 2)


def key_of(provider: str, name: str, refusals: int = 0) -> str:
    """The idempotency key of an event or a fact, after so many refusals that were written down."""
    key = f"{provider}:{name}"
    if len(key) > 240:
        key = f"{provider}:sha256:{sha256(name.encode()).hexdigest()}"
    return f"{key}~{refusals + 1}" if refusals else key


def _translated(webhook: Claimed, ledger: str) -> Translation:
    known = adapter(webhook.provider)
    try:
        settings = checked(webhook.provider, msgspec.json.decode(webhook.settings))
    except ValueError as error:
        return Park("settings_do_not_fit", f"{error}. Change the endpoint's settings, then replay it.")
    event = Event(
        webhook.provider,
        webhook.event_id,
        webhook.type,
        webhook.subject,
        webhook.received_at,
        decode(webhook.body),
        ledger,
    )
    return postable(known.translate(event, settings))


def postable(translation: Translation) -> Translation:
    """A translation whose commands are what a ledger takes; parked, where a provider's texts are not."""
    if isinstance(translation, Post):
        try:
            for command in (*translation.commands, *([translation.then] if translation.then else [])):
                msgspec.convert(msgspec.to_builtins(command.body), type(command.body))
        except msgspec.ValidationError as error:
            return Park("not_postable", f"What it says cannot be posted: {error}.")
    return translation


def _set_aside(translation: Ignore | Park) -> Settled:
    if isinstance(translation, Ignore):
        return Settled("ignored", "ignored", translation.reason)
    return Settled("parked", translation.code, translation.reason)


# What a verified webhook says has happened already: that two persons approve of it would change nothing.
SIGNATURE = "signature"


def _request(webhook: Claimed, translation: Post) -> Request:
    key = key_of(webhook.provider, translation.once or webhook.event_id, webhook.refusals)
    return _keyed(webhook, translation.commands, key)


def _keyed(webhook: Claimed, asked: Sequence[Command], key: str) -> Request:
    return fact(asked, key, f"webhook:{webhook.provider}", f"inbox:{webhook.number}")


def fact(asked: Sequence[Command], key: str, actor: str, request_id: str) -> Request:
    """The request under a provider's key: the same fact, whoever tells it, is posted once."""
    mark = sha256(f"webhook\n{key}".encode()).digest()
    for command in asked:
        command.key, command.fingerprint = key, mark
        command.actor, command.request_id = actor, request_id
        command.approver = SIGNATURE
    commands = list(asked)
    if len(commands) == 1:
        return Request(commands)
    return Request(commands, atomic=True, key=key, fingerprint=mark)


def _outcome(webhook: Claimed, answer: Answer) -> Settled | Later:
    match answer:
        case LedgerNotFound():
            return Settled("parked", "ledger_not_found", CODES["ledger_not_found"].sentence)
        case Defect():
            log.error("inbox.defect", number=webhook.number, error=str(answer))
            return Settled("failed", "defect", "The ledger failed on it. A replay tries it again.")
        case WriterError():
            code = "overloaded" if isinstance(answer, Overloaded) else "unavailable"
            return Later(code, f"{type(answer).__name__}: {answer}.")
    return _posted_or_refused(answer)


def _posted_or_refused(outcomes: Sequence[Outcome]) -> Settled:
    seqs: list[int] = []
    for outcome in outcomes:
        if isinstance(outcome, Recorded):
            seqs.append(outcome.event.seq)
        elif isinstance(outcome, Replayed):
            seqs += [seq for seq in range(outcome.seq, outcome.seq + outcome.events) if seq not in seqs]
    refusals = [outcome.rejection for outcome in outcomes if isinstance(outcome, Refusal)]
    if not refusals:
        return Settled("posted", seqs=seqs)
    rejection = next(one for one in refusals if one.code != "linked_failed")
    if rejection.code == "already_recorded":
        return Settled("posted", seqs=seqs)
    figures = ", ".join(f"{name}: {value}" for name, value in rejection.evidence.items())
    sentence = CODES[rejection.code].sentence
    detail = f"{sentence.rstrip('.')} ({figures})." if figures else sentence
    # Somebody else has used the key: with another one it might be posted twice.
    used_up = rejection.code != "idempotency_key_reused"
    return Settled("parked", rejection.code, detail, refused=int(used_up))
