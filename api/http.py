"""One HTTP request and its answer: what is read from the wire is checked here, and nowhere else.

This is plain ASGI: on the busiest route every layer between the server and the ledger costs requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from random import getrandbits
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import anyio
import msgspec
from msgspec import Meta, Struct
from starlette.types import Message, Receive, Scope, Send

from adapters.inbox.endpoints import Provider
from api.problems import RETRY_AFTER_SECONDS, Problem, Refused, make, of_validation
from ledger.chart import MAX_AMOUNT
from ledger.commands import Address, Name, Period
from ledger.credits.commands import Id as OrderId
from ledger.kredit.commands import RequestId, TenantId
from ledger.kredit.commands import SessionId as VerificationId
from ledger.loans.terms import Id as LoanId
from ledger.payments.commands import Id as StripeId
from ledger.periods import days_of
from ledger.proofs import tile_at
from ledger.reconciliation.commands import ItemName, RunName
from ledger.vouchers.commands import Id

T = TypeVar("T")

MAX_BODY_BYTES = 10 * 2**20
MAX_WEBHOOK_BYTES = 2**20
MAX_UPLOAD_BYTES = 2**30
# Of all bodies that are still coming: slow clients could otherwise fill the memory with them.
MAX_UNFINISHED_BYTES = 2**28
FILE_PIECE = 2**18
JSON = b"application/json"
PROBLEM = b"application/problem+json"
NOTE = b"text/plain; charset=utf-8"
OCTETS = b"application/octet-stream"

ProjectionName = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,62}\Z")]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-/]{1,200}\Z")]
Seq = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
SessionId = Annotated[str, Meta(pattern=r"^cs_[A-Za-z0-9_]+\Z", max_length=200, examples=["cs_test_a1B2"])]

encode = msgspec.json.Encoder().encode

_REQUEST_ID = re.compile(rb"[\x20-\x7e]{1,128}\Z")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"\Z')
_CONTENT_TYPE = re.compile(rb'application/json *(?:; *charset *= *"?utf-?8"? *)?\Z', re.IGNORECASE)


class _Bodies:
    """Of this process: how many bytes of bodies have come that are not complete."""

    unfinished = 0


class Gone(Exception):
    """The client went away before its request was read; there is nobody to answer."""


class Exchange:
    """A request being answered."""

    __slots__ = (
        "_content_length",
        "_content_type",
        "_credentials",
        "_encoded",
        "_keys",
        "_receive",
        "_request_ids",
        "_send",
        "asked_id",
        "headers",
        "request_id",
        "scope",
        "status",
        "streaming",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.status = 0  # of the answer, once it was begun
        self.streaming = False  # whether the answer has no end of its own
        self.headers: tuple[tuple[bytes, bytes], ...] = ()  # that the answer has, whatever it is
        self._content_length = self._content_type = b""
        self._encoded = False
        self._credentials: list[bytes] = []
        self._keys: list[bytes] = []
        self._request_ids: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"content-type":
                self._content_type = value
            elif name == b"content-length":
                self._content_length = value
            elif name in (b"idempotency-key", b"x-idempotency-key"):
                self._keys.append(value)
            elif name == b"x-request-id":
                self._request_ids.append(value)
            elif name == b"content-encoding":
                self._encoded = True
            elif name == b"authorization":
                self._credentials.append(value)
        self.asked_id = ""  # the client's own request id
        self.request_id = f"{getrandbits(128):032x}"

    def take_request_id(self) -> None:
        """Use the client's own request id, where it sent one (Refused)."""
        if not self._request_ids:
            return
        if len(self._request_ids) > 1 or not _REQUEST_ID.match(self._request_ids[0]):
            detail = "A request id is 1 to 128 printable ASCII characters, given once."
            raise Refused(make("invalid_request", detail, field="X-Request-Id"))
        self.request_id = self.asked_id = self._request_ids[0].decode()

    def authorization(self) -> bytes:
        """The Authorization header, empty when there is none (Refused)."""
        if len(self._credentials) > 1:
            detail = "The request has two Authorization headers."
            raise Refused(make("invalid_request", detail, field="Authorization"))
        return self._credentials[0] if self._credentials else b""

    def key(self) -> str | None:
        """The idempotency key: quoted as RFC 8941 has it, or bare (Refused)."""
        if not self._keys:
            return None
        key = _key(self._keys[0])
        if any(_key(value) != key for value in self._keys[1:]):
            detail = "The request has two idempotency keys that differ."
            raise Refused(make("invalid_request", detail, field="Idempotency-Key"))
        return key

    async def body(self) -> bytes:
        """The whole body, JSON of at most MAX_BODY_BYTES (Refused, Gone)."""
        body = await self._read(MAX_BODY_BYTES)
        if body and (self._encoded or not _CONTENT_TYPE.match(self._content_type)):
            found = self._content_type.decode("latin-1") or "no content type"
            detail = f"The body has {found}{', and is compressed' if self._encoded else ''}."
            raise Refused(make("unsupported_media_type", detail, field="Content-Type"))
        return body

    async def signed(self) -> tuple[list[tuple[str, str]], bytes]:
        """Headers and body of a webhook, whatever it calls its content (Refused, Gone)."""
        body = await self._read(MAX_WEBHOOK_BYTES)
        if self._encoded:
            detail = "A compressed body is not the bytes that were signed."
            raise Refused(make("unsupported_media_type", detail, field="Content-Encoding"))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.scope["headers"]]
        return headers, body

    async def upload(self, file: Path, media: Sequence[bytes]) -> bytes:
        """Write a body of one of these media types to a file, as it comes; which it has (Refused, Gone)."""
        found = self._content_type.partition(b";")[0].strip().lower()
        if found not in media or self._encoded:
            detail = f"The body is one of: {', '.join(one.decode() for one in media)}; not compressed."
            raise Refused(make("unsupported_media_type", detail, field="Content-Type"))
        if self._content_length and int(self._content_length) > MAX_UPLOAD_BYTES:
            raise Refused(_too_large(MAX_UPLOAD_BYTES))
        size, more = 0, True
        async with await anyio.open_file(file, "wb") as target:
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                piece: bytes = message.get("body", b"")
                size += len(piece)
                if size > MAX_UPLOAD_BYTES:
                    raise Refused(_too_large(MAX_UPLOAD_BYTES))
                await target.write(piece)
                more = message.get("more_body", False)
        return found

    async def _read(self, limit: int) -> bytes:
        if self._content_length and int(self._content_length) > limit:
            raise Refused(_too_large(limit))
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect" or message.get("more_body"):
            body = await self._rest(message, limit)
        return body

    async def _rest(self, message: Any, limit: int) -> bytes:
        chunks = []
        size = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise Gone
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                _Bodies.unfinished += len(chunks[-1])
                if size > limit:
                    raise Refused(_too_large(limit))
                if not message.get("more_body"):
                    return b"".join(chunks)
                if _Bodies.unfinished > MAX_UNFINISHED_BYTES:
                    raise Refused(make("overloaded"))
                message = await self._receive()
        finally:
            _Bodies.unfinished -= size

    async def answer(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """Send the whole answer."""
        self.status = status
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"content-length", b"%d" % len(body)),
                    (b"x-request-id", self.request_id.encode()),
                    *self.headers,
                    *headers,
                ],
            }
        )
        await self._send({"type": "http.response.body", "body": body})

    async def begin_stream(self, content_type: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin an answer that goes on by `part` until the client or the process leaves."""
        self._streams(200)
        named = [
            (b"content-type", content_type),
            (b"x-request-id", self.request_id.encode()),
            *self.headers,
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": named})

    def _streams(self, status: int) -> None:
        self.status, self.streaming = status, True
        # So that the server finds it. Every request in its own scope would be a cycle for the collector.
        self.scope["exchange"] = self

    async def part(self, body: bytes, *, last: bool = False) -> None:
        """Send a part; waits until the client has taken those before."""
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def accept(self) -> None:
        """Open the WebSocket that the request asks for."""
        self._streams(101)
        headers = [(b"x-request-id", self.request_id.encode()), *self.headers]
        await self._send({"type": "websocket.accept", "headers": headers})

    async def receive(self) -> Message:
        """The next message of the client."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a message on an open WebSocket; waits until the client has taken those before."""
        await self._send(message)

    async def file(self, status: int, path: Path, content_type: bytes) -> None:
        """Send a file, a piece at a time."""
        self.status = status
        async with await anyio.open_file(path, "rb") as source:
            headers = [
                (b"content-type", content_type),
                (b"content-length", b"%d" % (await anyio.Path(path).stat()).st_size),
                (b"x-request-id", self.request_id.encode()),
                *self.headers,
            ]
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            while piece := await source.read(FILE_PIECE):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def pass_on(self, message: Message) -> None:
        """Send a part of an answer that is made elsewhere (static files), with our header."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def problem(self, problem: Problem, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Send a problem, with the headers that belong to its code."""
        retry = RETRY_AFTER_SECONDS.get(problem.code)
        if retry is not None:
            headers = (*headers, (b"retry-after", b"%d" % retry))
        elif problem.code == "too_many_requests":
            headers = (*headers, (b"retry-after", b"%d" % problem.evidence["retry_after"]))
        elif problem.code == "unauthenticated":
            headers = (*headers, (b"www-authenticate", b"Bearer"))
        elif problem.status == 401:
            headers = (*headers, (b"www-authenticate", b"Signature"))
        elif problem.code == "method_not_allowed":
            headers = (*headers, (b"allow", ", ".join(problem.evidence["allowed"]).encode()))
        await self.answer(problem.status, encode(problem), PROBLEM, headers)


def _too_large(limit: int) -> Problem:
    return make("payload_too_large", evidence={"limit": limit})


def _key(value: bytes) -> str:
    text = value.decode("latin-1").strip(" \t")
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        text = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else ""
    if not (0 < len(text) <= 255 and text.isascii() and text.isprintable()):  # as `Key` has it
        detail = 'A key is 1 to 255 printable ASCII characters, bare or quoted ("...").'
        raise Refused(make("invalid_request", detail, field="Idempotency-Key"))
    return text


# ---------------------------------------------------------------- JSON bodies


def decode_body(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    """A body as its struct (Refused)."""
    if not raw:
        raise Refused(make("invalid_request", "The body is empty; a JSON object is needed."))
    try:
        body = decoder.decode(raw)
        raw.decode()  # msgspec looks at the strings that it keeps, not at every byte
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(of_validation(error)) from None
    except RecursionError:
        raise Refused(make("invalid_request", "The body is nested too deeply.")) from None
    return body


# ---------------------------------------------------------------- queries and paths


def decode_query(query_string: bytes, shape: type[T]) -> T:
    """The query's parameters as their struct; unknown, repeated and bad ones are refused (Refused)."""
    if not query_string and shape is NoQuery:  # as on the busiest route
        return shape()
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise Refused(make("invalid_request", "The query is not percent-encoded UTF-8.")) from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        group, _, key = name.partition("[")
        place = values
        if key.endswith("]") and group in groups(shape):
            place, name = values.setdefault(group, {}), key[:-1]
        if name in place:
            raise Refused(make("invalid_request", "A parameter is given twice.", field=name))
        whole = place is values and name in integers(shape) and _INTEGER.match(value)
        place[name] = int(value) if whole else value
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise Refused(of_validation(error)) from None


_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")
_SEQ = re.compile(r"[0-9]{1,20}\Z")
_integers: dict[type, frozenset[str]] = {}


def integers(shape: type) -> frozenset[str]:
    """The parameters of a query struct that may be integers: digits are turned into one."""
    known = _integers.get(shape)
    if known is None:
        info = msgspec.inspect.type_info(shape)
        assert isinstance(info, msgspec.inspect.StructType)
        known = _integers[shape] = frozenset(
            field.encode_name for field in info.fields if _may_be_integer(field.type)
        )
    return known


_groups_of: dict[type, frozenset[str]] = {}


def groups(shape: type) -> frozenset[str]:
    """The parameters that are objects: `metadata[order]=1842` is the member `order` of one."""
    known = _groups_of.get(shape)
    if known is None:
        info = msgspec.inspect.type_info(shape)
        assert isinstance(info, msgspec.inspect.StructType)
        known = _groups_of[shape] = frozenset(
            field.encode_name
            for field in info.fields
            if isinstance(_plain(field.type), msgspec.inspect.DictType)
        )
    return known


def _plain(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return _plain(kind.type) if isinstance(kind, msgspec.inspect.Metadata) else kind


def _may_be_integer(kind: msgspec.inspect.Type) -> bool:
    match kind:
        case msgspec.inspect.Metadata(type=inner):
            return _may_be_integer(inner)
        case msgspec.inspect.UnionType(types=types):
            return any(map(_may_be_integer, types))
    return isinstance(kind, msgspec.inspect.IntType)


def _period(text: str) -> str:
    period: str = msgspec.convert(text, Period)
    try:
        days_of(period)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None
    return period


_LEVEL = re.compile(r"(0|[1-9]|[1-5][0-9]|6[0-3])\Z")


def _level(text: str) -> int:
    if not _LEVEL.match(text):
        raise msgspec.ValidationError("A level is 0 to 63")
    return int(text)


def _tile(text: str) -> tuple[int, int]:
    try:
        return tile_at(text)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None


_PATH: dict[str, Callable[[str], Any]] = {
    # Asked for with every request, of few ledgers.
    "ledger": lru_cache(maxsize=10_000)(partial(msgspec.convert, type=Name)),
    "tenant": partial(msgspec.convert, type=Name),
    "address": partial(msgspec.convert, type=Address),
    "projection": partial(msgspec.convert, type=ProjectionName),
    "file": partial(msgspec.convert, type=FileName),
    "job": partial(msgspec.convert, type=Uuid),
    "key": partial(msgspec.convert, type=UUID),
    "approval": partial(msgspec.convert, type=UUID),
    "order": partial(msgspec.convert, type=OrderId),
    "session": partial(msgspec.convert, type=SessionId),
    "stripe_subscription": partial(msgspec.convert, type=StripeId),
    "period": _period,
    "subscription": partial(msgspec.convert, type=Uuid),
    "provider": partial(msgspec.convert, type=Provider),
    "endpoint": partial(msgspec.convert, type=Uuid),
    "number": lambda text: msgspec.convert(int(text) if _SEQ.match(text) else text, Seq),
    "level": _level,
    "loan": partial(msgspec.convert, type=LoanId),
    "borrower": partial(msgspec.convert, type=LoanId),
    "loan_provider": partial(msgspec.convert, type=LoanId),
    "loan_payment": partial(msgspec.convert, type=LoanId),
    "virtual_account": partial(msgspec.convert, type=LoanId),
    "provider_invoice": partial(msgspec.convert, type=LoanId),
    "tile": _tile,
    "run": partial(msgspec.convert, type=RunName),
    "item": partial(msgspec.convert, type=ItemName),
    "side": partial(msgspec.convert, type=Literal["stripe", "buffr"]),
    "programme": partial(msgspec.convert, type=Id),
    "voucher": partial(msgspec.convert, type=Id),
    "beneficiary": partial(msgspec.convert, type=Id),
    "kredit_tenant": partial(msgspec.convert, type=TenantId),
    "verification": partial(msgspec.convert, type=VerificationId),
    "request": partial(msgspec.convert, type=RequestId),
    "seq": lambda text: msgspec.convert(int(text) if _SEQ.match(text) else text, Seq),
}


def decode_path(parameters: dict[str, str]) -> dict[str, Any]:
    """The path's parameters, checked; `seq` as a number (Refused)."""
    try:
        return {name: _PATH[name](text) for name, text in parameters.items()}
    except msgspec.ValidationError as error:
        wrong = next(name for name, text in parameters.items() if not _fits(name, text))
        raise Refused(of_validation(error, wrong)) from None


def _fits(name: str, text: str) -> bool:
    try:
        _PATH[name](text)
    except msgspec.ValidationError:
        return False
    return True


class NoQuery(Struct, forbid_unknown_fields=True):
    """No parameter."""
