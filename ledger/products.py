"""The products of this ledger: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ledger import kredit, payments, providers, vouchers
from ledger.chart import AccountPattern
from ledger.commands import Command, ProductCommand
from ledger.credits.product import CREDITS
from ledger.events import Event, read_event
from ledger.loans.product import LOANS
from ledger.product import Kind, Needs, Product
from ledger.reconciliation.product import RECONCILIATION
from ledger.state import Accepted, State, Stream

encode_state = msgspec.json.Encoder().encode


class Products:
    """The products that this ledger has, found by command and by stream."""

    def __init__(self, *products: Product) -> None:
        self._by_kind: dict[str, tuple[Product, Kind]] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}
        self._by_body: dict[type, Product] = {}
        self._patterns: dict[str, tuple[AccountPattern, ...]] = {}
        self.controlled: tuple[str, ...] = ()
        self._bodies: dict[str, type[ProductCommand]] = {}
        for product in products:
            self._by_kind |= {name: (product, kind) for name, kind in product.kinds.items()}
            self._decoders |= {name: msgspec.json.Decoder(kind.state) for name, kind in product.kinds.items()}
            self._by_body |= dict.fromkeys(product.deciders, product)
            self._patterns[product.name] = product.patterns
            self.controlled += product.controlled
            bodies = [body for body in product.deciders if issubclass(body, ProductCommand)]
            self._bodies |= {body.operation: body for body in bodies}

    def patterns(self, product: str) -> tuple[AccountPattern, ...] | None:
        """The chart of a product; None: there is no such product."""
        return self._patterns.get(product)

    def body_of(self, operation: str) -> type[ProductCommand] | None:
        """What a product is asked with by this name; None: it is none of a product's."""
        return self._bodies.get(operation)

    def needs(self, state: State, command: Command) -> Needs:
        """What must be loaded to decide a product's command, as far as is known so far."""
        return self._of(command).needs(state, command)

    def shared(self, commands: Iterable[Command]) -> set[str]:
        """The accounts that all commands of these products need."""
        products = {product.name: product for product in map(self._of, commands)}
        return {address for product in products.values() for address in product.shared}

    def decide(self, state: State, command: Command, now: int) -> Accepted:
        """The event of a product's command, and the streams as it leaves them (Refused)."""
        product = self._of(command)
        decider = product.deciders.get(type(command.body), product.due)
        accepted = decider(state, command, now)
        event = accepted.event
        accepted.streams = tuple([self.evolved(state.streams[name], event, name) for name in event.streams])
        return accepted

    def evolved(self, stream: Stream | None, event: Event, name: str) -> Stream:
        """A stream after one more event."""
        kind_name = kind_of(name)
        kind = self._by_kind[kind_name][1]
        state = kind.evolve(None if stream is None else stream.state, event, name)
        return Stream(name, kind_name, event.streams[name], state, kind.version, kind.due(state))

    def folded(self, name: str, bodies: Iterable[bytes]) -> Stream:
        """A stream made anew of the bodies of its events."""
        stream = None
        for body in bodies:
            stream = self.evolved(stream, read_event(body), name)
        assert stream is not None, f"{name} has no event"
        return stream

    def decoded(self, name: str, version: int, state_version: int, state: str) -> Stream | None:
        """A stream as it is stored; None: another version of the code stored it, fold its events again."""
        kind = self._kind(name)
        if state_version != kind.version:
            return None
        decoded = self._decoders[kind_of(name)].decode(state)
        return Stream(name, kind_of(name), version, decoded, kind.version, kind.due(decoded))

    def claims(self, stream: Stream) -> Iterable[tuple[str, str, int]]:
        """What control accounts hold for a stream: (address, asset, amount, debit positive)."""
        return self._kind(stream.name).claims(stream.state, stream.name)

    def has(self, stream: str) -> bool:
        """Whether a stream of this name is one of a product."""
        return kind_of(stream) in self._by_kind

    def _kind(self, stream: str) -> Kind:
        return self._by_kind[kind_of(stream)][1]

    def _of(self, command: Command) -> Product:
        product = self._by_body.get(type(command.body))
        if product is None:
            assert isinstance(command.subject, str)
            product = self._by_kind[kind_of(command.subject)][0]
        return product


def kind_of(stream: str) -> str:
    """The kind that a stream's name begins with."""
    return stream.partition(":")[0]


PRODUCTS = Products(
    CREDITS,
    LOANS,
    vouchers.PRODUCT,
    payments.PRODUCT,
    RECONCILIATION,
    providers.PRODUCT,
    kredit.PRODUCT,
)
