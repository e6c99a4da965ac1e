"""The laws that belong to one type of event, and what it changes in the books.

A rule may raise KeyError, TypeError, ValueError, AttributeError or MsgspecError about data that are not what
docs/events.md says; the books note that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ledger.chart import Limits
from ledger.events import Event
from projections.audit.accounts import Account, Chart
from projections.audit.moments import is_moment
from projections.audit.subjects import HOLD_ENDS, Subject, taken, wrong_name

if TYPE_CHECKING:
    from projections.audit.books import Books

LIMITS = dict[str, Limits]


class Restore(NamedTuple):
    """A restore, by event `seq`: incarnations `left` to `lost` ended, the last with `lost_size` events."""

    seq: int
    left: int
    lost: int
    lost_size: int
    lost_root: str


def _ledger_opened(books: Books, event: Event) -> None:
    if event.seq > 1:
        books.broken(event.seq, "opens the ledger again")
        return
    books.name, books.time_zone = event.data["name"], event.data["time_zone"]
    books.opened_at = event.recorded_at
    if "chart" in event.data:
        _chart_set(books, event)


def _chart_set(books: Books, event: Event) -> None:
    document = event.data["chart"]
    books.chart = Chart(document)
    books.chart_seq = event.seq
    for sentence in books.persons.set(event, document.get("approval_above", {})):
        books.broken(event.seq, sentence)
    for asset in document["assets"]:
        code = asset.rsplit("/", 1)[0]
        if asset not in books.assets:
            if any(known.rsplit("/", 1)[0] == code for known in books.assets):
                books.broken(event.seq, f"gives {code} a second scale: {asset}")
            books.assets[asset] = len(books.assets) + 1


def _account_opened(books: Books, event: Event) -> None:
    if len(event.accounts_opened) != 1 or event.postings:
        books.broken(event.seq, "does not open one account")


def _open_account(books: Books, event: Event) -> Account | None:
    address = event.data["account"]
    account = books.accounts.get(address)
    if account is None or account.closed is not None:
        books.broken(event.seq, f"is about {address}, which is not open")
        return None
    return account


def _limits_set(books: Books, event: Event) -> None:
    account = _open_account(books, event)
    if account is None:
        return
    limits = msgspec.convert(event.data["limits"], LIMITS)
    account.terms = msgspec.structs.replace(account.terms, limits=limits)
    for position in account.positions.values():
        position.bind()
        position.last_seq = event.seq
        books.check_limits(event.seq, position)


def _account_closed(books: Books, event: Event) -> None:
    account = _open_account(books, event)
    if account is None:
        return
    account.closed = event.seq
    for p in account.positions.values():
        if p.debits != p.credits or p.debits_pending or p.credits_pending:
            books.broken(event.seq, f"closes {account.address}, which is not empty in {p.asset}")


def _held(books: Books, event: Event) -> None:
    expires_at = event.data.get("expires_at")
    if expires_at is not None and not (is_moment(expires_at) and expires_at > event.recorded_at):
        books.broken(event.seq, f"holds until {expires_at}, which has passed")
    if any(posting.kind != "pending" for posting in event.postings):
        books.broken(event.seq, "a hold has legs that are not pending")
    books.touched = books.subjects.hold(event)
    _check_stream(books, event, books.touched)


def _posted(books: Books, event: Event) -> None:
    if event.streams:
        books.broken(event.seq, f"a {event.type} belongs to no stream, it says {event.streams}")
    for posting in event.postings:
        if posting.kind != "posted":
            books.broken(event.seq, f"a {event.type} has a leg that is {posting.kind}")


def _takes(books: Books, event: Event) -> None:
    """A part, a void, an expiry or a reversal: what it takes is there, and it takes what it says."""
    subject = _subject(books, event)
    if subject is None:
        return
    amounts, wrong = taken(subject, event)
    if wrong is not None:
        books.broken(event.seq, wrong)
        amounts = [max(0, min(pair)) for pair in zip(amounts, subject.left, strict=True)]
    if event.type == "hold_expired" and not (
        event.effective_at == subject.expires_at and subject.expires_at <= event.recorded_at
    ):
        books.broken(event.seq, f"expires a hold that is due at {subject.expires_at}")
    books.subjects.take(subject, event, amounts)
    books.touched = subject
    _check_stream(books, event, subject)


def _annotated(books: Books, event: Event) -> None:
    subject = _subject(books, event)
    if subject is None:
        return
    if event.postings:
        books.broken(event.seq, "a remark has postings")
    books.subjects.remark(subject)
    books.touched = subject
    _check_stream(books, event, subject)


def _subject(books: Books, event: Event) -> Subject | None:
    seq: Any = event.data.get("transaction")
    subject = books.subjects.open.get(seq)
    if subject is None:
        origin = books.origin(seq)
        subject = None if origin is None else books.subjects.named(origin)
        if subject is not None and subject.ended_by is not None:
            ending = books.origin(subject.ended_by)
            subject.status = "reversed" if ending is None else HOLD_ENDS.get(ending.type, "reversed")
    wrong = wrong_name(subject, event)
    if wrong is not None:
        books.broken(event.seq, wrong)
        return None
    return subject


def _check_stream(books: Books, event: Event, subject: Subject) -> None:
    wanted = {f"transaction:{subject.seq}": subject.version}
    if event.streams != wanted:
        books.broken(event.seq, f"its streams are {event.streams}, not {wanted}")


def _period_closed(books: Books, event: Event) -> None:
    period, starts_at, ends_at = (event.data[name] for name in ("period", "starts_at", "ends_at"))
    if not (isinstance(period, str) and is_moment(starts_at) and is_moment(ends_at)):
        raise ValueError("a period has a name and is from a moment to a moment")
    if period in books.periods:
        books.broken(event.seq, f"closes {period}, which event {books.periods[period][2]} closed")
    books.periods[period] = (starts_at, ends_at, event.seq)
    books.closed_until = max(books.closed_until, ends_at)


def _period_reopened(books: Books, event: Event) -> None:
    period = event.data["period"]
    closed = books.periods.pop(period, None)
    if closed is None or closed[2] != event.data["closed_seq"]:
        books.broken(event.seq, f"reopens {period}, which event {event.data['closed_seq']} did not close")
    books.closed_until = max((ends_at for _, ends_at, _ in books.periods.values()), default="")


def _restored(books: Books, event: Event) -> None:
    incarnation, lost = event.data["incarnation"], event.data["lost_incarnation"]
    if not books.incarnation <= lost < incarnation:
        books.broken(
            event.seq, f"goes from incarnation {books.incarnation} to {incarnation}, of a lost {lost}"
        )
    size, root = event.data["lost_size"], event.data["lost_root"]
    books.restores.append(Restore(event.seq, books.incarnation, lost, int(size), str(root)))
    books.incarnation = incarnation


def _asserted(books: Books, event: Event) -> None:
    if event.data["account"] not in books.accounts:
        books.broken(event.seq, f"asserts a balance of {event.data['account']}, which was never opened")


def of_product(books: Books, event: Event) -> None:
    """An event of a product's streams goes on with each of them, and nothing ends twice."""
    if not event.streams:
        books.broken(event.seq, f"a {event.type} belongs to no stream")
    for name, version in event.streams.items():
        before = books.streams.get(name, 0)
        if version != before + 1:
            books.broken(event.seq, f"is number {version} of {name}, after number {before}")
        books.streams[name] = version
    for name in event.ends:
        if name in books.ends:
            books.broken(event.seq, f"ends {name}, which event {books.ends[name]} ended")
        books.ends[name] = event.seq


RULES: dict[str, Callable[[Books, Event], None]] = {
    "ledger_opened": _ledger_opened,
    "chart_set": _chart_set,
    "account_opened": _account_opened,
    "account_limits_set": _limits_set,
    "account_closed": _account_closed,
    "transaction_posted": _posted,
    "transaction_held": _held,
    "hold_posted": _takes,
    "hold_voided": _takes,
    "hold_expired": _takes,
    "transaction_reversed": _takes,
    "transaction_annotated": _annotated,
    "period_closed": _period_closed,
    "period_reopened": _period_reopened,
    "balance_asserted": _asserted,
    "ledger_restored": _restored,
}
