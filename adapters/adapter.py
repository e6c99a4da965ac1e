"""What an adapter is: a signature scheme, a parser and a translation. All three are pure.

The rest is the inbox's work: to store before anything is understood, to post with a key that is the
provider's own, to try again, to show people what could not be translated and to try it again when they ask.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from adapters.signatures import Scheme
from ledger.commands import Command

LONGEST_ID = 200

_PLAIN = re.compile(r"[\x21-\x7e]{1,200}\Z")
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f]")


class Unreadable(ValueError):
    """The body is not what this provider sends: not a JSON object. The message says why."""


class Named(Struct, frozen=True):
    """What a parser finds. `id`: of the event, the same whenever it is sent; `subject`: what it is about."""

    id: str
    type: str
    subject: str = ""


class Event(Struct, frozen=True):
    """A provider's event as it was verified and stored. `body` is the parsed JSON object.

    `ledger` is the one that it came in for, by its name among those of all tenants.
    """

    provider: str
    id: str
    type: str
    subject: str
    received_at: datetime
    body: dict[str, Any]
    ledger: str = ""

    def not_later(self, moment: datetime) -> datetime:
        """A moment of the provider's, whose clock may be ahead of ours: nothing counts in the future."""
        return min(moment, self.received_at)


class Post(Struct, frozen=True):
    """What an event means to the ledger: commands that are all accepted or none.

    `once` names the fact, where several events may tell of it (a charge by its id): then whichever comes
    first posts it, and the others find that it is posted. Without it, the event's own id is the name.
    `then` is what it means to something that may not be known yet: it is tried after the commands, again and
    again while what refuses it may pass.
    """

    commands: Sequence[Command]
    once: str = ""
    then: Command | None = None


class Ignore(Struct, frozen=True):
    """The event means nothing to the ledger; `reason` is a sentence."""

    reason: str


class Park(Struct, frozen=True):
    """Somebody must look at it: a code of our own that can be searched for, and a sentence."""

    code: str
    reason: str


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of an endpoint whose adapter needs none."""


Translation = Post | Ignore | Park
Parse = Callable[[bytes], Named]
Translate = Callable[[Event, Any], Translation]


class Adapter(Struct, frozen=True):
    """A provider. `parse` raises Unreadable; `translate` is given settings of the type `settings`."""

    provider: str
    scheme: Scheme
    parse: Parse
    translate: Translate
    settings: type[Struct] = NoSettings


def decode(raw: bytes) -> dict[str, Any]:
    """A body as a JSON object (Unreadable)."""
    try:
        raw.decode()  # msgspec looks at the strings that it keeps, not at every byte
        body = msgspec.json.decode(raw)
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 at byte {error.start}.") from None
    except msgspec.MsgspecError as error:
        raise Unreadable(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise Unreadable("The body is nested too deeply.") from None
    if not isinstance(body, dict):
        raise Unreadable("The body is not a JSON object.")
    return body


def at(body: Any, *path: str) -> Any:
    """The value at a path of members; None where there is none."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def text_at(body: Any, *path: str) -> str:
    """The text or whole number at a path, as text; empty where there is neither."""
    found = at(body, *path)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) else ""


def members(id: Sequence[str], type: Sequence[str], subject: Sequence[str]) -> Parse:
    """A parser of a body whose id, type and subject stand at these paths; no id: the body's own hash."""

    def parse(raw: bytes) -> Named:
        body = decode(raw)
        return Named(text_at(body, *id) or hash_of(raw), text_at(body, *type), text_at(body, *subject))

    return parse


def hash_of(raw: bytes) -> str:
    """An id for what has none: the same bytes are the same event."""
    return f"sha256:{sha256(raw).hexdigest()}"


def plain(text: str, longest: int) -> str:
    """A provider's text as a ledger takes it: NFC, without control characters, no longer than that."""
    return unicodedata.normalize("NFC", _UNSHOWN.sub("?", text))[:longest]


def tidy(named: Named) -> Named:
    """Fit for a key and for being shown: an id of printable ASCII, short texts without control characters."""
    id = named.id if _PLAIN.match(named.id) else hash_of(named.id.encode("utf-8", "surrogatepass"))
    return Named(id, plain(named.type, LONGEST_ID), plain(named.subject, LONGEST_ID))


def no_translation(event: Event, settings: NoSettings) -> Park:
    """Of a provider whose events nobody has taught us yet."""
    return Park(
        "no_translation",
        f"Daybook has no rule for events of {event.provider} yet. It keeps this one; "
        "when there is a rule, replay it.",
    )
