"""Distribution: vouchers of programmes whose distributor is Buffr are handed over to it, once.

The events are the outbox: what was issued and not distributed waits, whatever has happened to processes. A
voucher's request has a key that is the voucher's own, so a process that is killed after it has asked, and
before the book says so, asks again and is told what it was told. One process at a time distributes; the
book takes one distribution of a voucher.

Buffr knows a voucher by its name alone, and reports of it go to one ledger. So no tenant but the default one,
whose the key for Buffr is, has vouchers distributed: another's of the same name would be redeemed as ours.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import psycopg
import structlog

from adapters.buffr_client import CONNECTIONS, BuffrClient, Declined, Later
from api.registry import BENEFICIARY, PersonNotFound, Registry
from ledger import commands as c
from ledger.batch import Request
from ledger.errors import WriterError
from ledger.reader import Reader
from ledger.text import DEFAULT_TENANT, iso, of_currency
from ledger.vault import Vault, VaultError
from ledger.vouchers import commands as v
from ledger.vouchers.codes import PURPOSE, code_of
from ledger.vouchers.streams import Voucher
from ledger.wire import Connection
from ledger.writer import Writer
from projections.versions import connect
from projections.vouchers import QUERIES

log = structlog.get_logger(__name__)

ACTOR = "daybook distribution"
DISTRIBUTOR = "buffr"
TURN = 200
POLL_SECONDS = 1.0
REST_SECONDS = 10.0  # after Buffr could not be asked
SEEN_SECONDS = 30.0  # a projection is not so far behind
ASIDE_SECONDS = 300.0  # what fails by itself, so that it keeps nobody else waiting


class Waiting(NamedTuple):
    """A voucher that is not distributed yet."""

    tenant: str
    ledger: str
    voucher: str

    @property
    def whole(self) -> str:
        """The ledger among those of all tenants."""
        return self.ledger if self.tenant == DEFAULT_TENANT else f"{self.tenant}/{self.ledger}"


class Distributor:
    """The thread that hands vouchers over. `close` ends it after the turn that it is at."""

    def __init__(
        self,
        conninfo: str,
        client: BuffrClient,
        reader: Reader,
        writer: Writer,
        registry: Registry,
        vault: Vault,
    ) -> None:
        """Starts the thread."""
        self._conninfo = conninfo
        self._client = client
        self._reader = reader
        self._writer = writer
        self._registry = registry
        self._vault = vault
        self._closing = threading.Event()
        self._aside: dict[Waiting, float] = {}  # until when
        self._thread = threading.Thread(target=self._work, name="daybook-distribution", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what is under way and end the thread. Close it before the writer."""
        self._closing.set()
        self._thread.join()
        self._client.close()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection, ThreadPoolExecutor(CONNECTIONS) as pool:
                    self._distribute(connection, pool)
            except psycopg.Error as error:
                log.warning("distribution.database", error=str(error).strip())
                self._closing.wait(POLL_SECONDS)
            except Exception as error:
                log.error("distribution.defect", exc_info=error)
                self._closing.wait(REST_SECONDS)

    def _distribute(self, connection: Connection, pool: ThreadPoolExecutor) -> None:
        asked = {"distributor": DISTRIBUTOR, "tenant": DEFAULT_TENANT}
        while connection.execute(QUERIES["try_distributor"], asked).fetchone() != (True,):
            if self._closing.wait(POLL_SECONDS):
                return
        while not self._closing.is_set():
            now = time.monotonic()
            self._aside = {one: until for one, until in self._aside.items() if now < until}
            known = [f"{one.whole} {one.voucher}" for one in self._aside]
            wanted = {**asked, "waiting": known, "limit": TURN}
            turn = [Waiting(*row) for row in connection.execute(QUERIES["to_distribute"], wanted)]
            outcomes = list(pool.map(self.hand_over, turn))
            if any(isinstance(outcome, Later) for outcome in outcomes):
                self._closing.wait(REST_SECONDS)
            elif len(turn) < TURN:
                self._closing.wait(POLL_SECONDS)

    def hand_over(self, waiting: Waiting) -> Later | None:
        """Hand one over and record it; Later: it could not be asked (WriterError is one too)."""
        try:
            state = self._state(waiting)
            if state is None:
                return None
            outcome = self._client.disburse(
                f"daybook:{waiting.whole}:{waiting.voucher}:disburse", self._payload(waiting, state)
            )
            if isinstance(outcome, Later):
                log.warning("distribution.later", voucher=waiting.voucher, reason=outcome.reason)
                if outcome.answered:
                    self._put_aside(waiting, ASIDE_SECONDS)
                return outcome
            body: c.Body
            if isinstance(outcome, Declined):
                body, what = v.Failure(reason=outcome.reason), "declined"
            else:
                body, what = v.Distribution(delivery=outcome.delivery), "distributed"
            key = f"{DISTRIBUTOR}:{waiting.voucher}:{what}"
            asked = c.command(body, waiting.voucher, key=key, actor=ACTOR)
            self._writer.execute(waiting.whole, Request([asked]))
        except (WriterError, VaultError) as error:
            log.warning("distribution.later", voucher=waiting.voucher, reason=str(error))
            return Later(type(error).__name__)
        except Exception as error:
            log.error("distribution.defect", voucher=waiting.voucher, exc_info=error)
            self._put_aside(waiting, ASIDE_SECONDS)
            return Later(type(error).__name__)
        self._put_aside(waiting, SEEN_SECONDS)
        return None

    def _put_aside(self, waiting: Waiting, seconds: float) -> None:
        self._aside[waiting] = time.monotonic() + seconds

    def _state(self, waiting: Waiting) -> Voucher | None:
        """The voucher at head, if it is still to be distributed: what the list says may be old."""
        found = self._reader.of(waiting.tenant, None).stream(waiting.ledger, f"voucher:{waiting.voucher}")
        if found is None:
            return None
        state: Voucher = found[0].state
        return state if state.status == "issued" and not state.distributed else None

    def _payload(self, waiting: Waiting, state: Voucher) -> dict[str, Any]:
        code = code_of(self._vault.derive(PURPOSE), waiting.whole, waiting.voucher)
        about = {
            "voucher_id": waiting.voucher,
            "beneficiary_id": state.beneficiary,
            "beneficiary_name": "",
            "amount": of_currency(state.amount, state.asset),
            "grant_type": state.grant_type,
            "expiry_date": None if state.expires_at is None else iso(state.expires_at),
            "voucher_code": code,
            "qr_code": code,
        }
        try:
            kept = self._registry.person(waiting.tenant, waiting.ledger, BENEFICIARY, state.beneficiary)
        except PersonNotFound:
            return about
        person = kept.person
        about["beneficiary_name"] = person.name
        more = {
            "beneficiary_id_number": person.id_number,
            "beneficiary_phone": person.phone,
            "buffr_user_id": person.buffr_user,
        }
        return about | {name: text for name, text in more.items() if text}
