"""Kredit's requests when processes are killed on the way: one hold, one use, one callback, whatever died."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

from projections.audit import live
from tests.conftest import NewDatabase
from tests.daybook_command import COMMAND, ROOT, environment
from tests.keys import as_admin, introduce
from tests.kyc_double import API_KEY, Provider, provider
from tests.receiver import Line, Received, Receiver, receiver
from tests.senders import SECRETS, signed
from tests.test_kredit_api import CHART, SECRET
from tests.waiting import until

pytestmark = pytest.mark.torture
VERIFICATION = {"tenant_id": "t1", "document_name": "A", "document_number": "1"}


class Running:
    """`daybook serve` in a process of its own, that can be killed and started again on its port."""

    def __init__(self, database: str, kyc: Provider) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
        self.base = f"http://127.0.0.1:{port}"
        self._command = (*COMMAND, "serve", "--port", port)
        self._settings = environment(
            database,
            KYC_API_URL=kyc.url,
            KYC_API_KEY=API_KEY,
            KYC_CALLBACK_URL=f"{self.base}/webhooks/trueidentity",
            DAYBOOK_INSECURE_WEBHOOKS="on",
        )
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def answers() -> bool:
            assert self.process.poll() is None
            with suppress(httpx.HTTPError):
                return httpx.get(f"{self.base}/health/live").is_success
            return False

        until(answers, 60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def send(self, provider: str, path: str, body: Any) -> httpx.Response | None:
        """A signed webhook; None: no answer came."""
        raw = json.dumps(body).encode()
        with suppress(httpx.HTTPError):
            return httpx.post(self.base + path, content=raw, headers=signed(provider, raw), timeout=30)
        return None


@pytest.fixture
def kyc() -> Iterator[Provider]:
    with provider() as state:
        yield state


@pytest.fixture
def hears() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def types(database: str) -> list[str]:
    """Of the events about sessions and uses."""
    query = "SELECT type FROM daybook.events WHERE type LIKE 'kyc%' ORDER BY seq"
    with psycopg.connect(database) as connection:
        return [type for (type,) in connection.execute(query)]


def test_killed_between_hold_and_answer_and_between_completion_and_callback(
    new_database: NewDatabase, kyc: Provider, hears: Receiver
) -> None:
    """Killed while the provider is asked, then while Kredit is told: the same request has one session and one
    hold; the completion is one use; Kredit is told of it until it has taken it, the same words each time."""
    with new_database() as database:
        running = Running(database, kyc)
        introduce(running.base, database)
        with httpx.Client(base_url=running.base, headers=as_admin(running.base), timeout=30) as admin:
            chart = {"name": "main", "chart": CHART}
            admin.post("/v1/ledgers", json=chart).raise_for_status()
            for name in ("kredit", "trueidentity"):
                endpoint = {"provider": name, "secret": SECRETS[name], "default": True}
                admin.post("/v1/ledgers/main/inbox/endpoints", json=endpoint).raise_for_status()
            told = {"url": hears.url.removesuffix("/hook"), "scheme": "kredit", "secret": SECRET}
            admin.post("/v1/ledgers/main/subscriptions", json=told).raise_for_status()
            credits = {"userId": "t1", "creditType": "verification", "amount": 100}
            admin.post("/v1/ledgers/main/credits/add", json=credits).raise_for_status()

            request = {**VERIFICATION, "webhook_url": hears.url}
            path = "/api/webhooks/kredit/verification-request"
            kyc.opened = lambda session: running.kill()
            assert running.send("kredit", path, request) is None
            assert types(database) == ["kyc_session_requested"]
            kyc.opened = lambda session: None
            running.start()
            answer = running.send("kredit", path, request)
            assert answer is not None
            assert answer.status_code == 200, answer.text
            session = answer.json()["session_id"]
            assert kyc.sessions() == [session, session]
            assert types(database) == ["kyc_session_requested"]

            def dies(received: Received, line: Line) -> None:
                running.kill()

            hears.behaviour = dies
            report = {
                "event": "kyc.session.completed",
                "data": {"result": "approved", "metadata": {"daybook_session": session}},
            }
            running.send("trueidentity", "/webhooks/trueidentity", report)
            hears.until(1)
            until(lambda: running.process.poll() is not None)
            hears.behaviour = lambda received, line: line.answer(204)
            running.start()
            hears.until(2)
            running.send("trueidentity", "/webhooks/trueidentity", report)
            wallet = {"userId": "t1", "creditType": "verification"}
            found = admin.get("/v1/ledgers/main/credits/balance", params=wallet).json()
            assert (found["balance"], found["held"], found["totalUsed"]) == (60, 0, 40)
        running.process.terminate()
        running.process.wait(60)
        assert types(database) == ["kyc_session_requested", "kyc_session_completed"]
        assert {(one.json["event"], one.json["session_id"]) for one in hears.received} == {
            ("kyc.session.completed", session)
        }
        assert len({one.body for one in hears.received}) == 1
        verdicts = live.check(database, "main").verdicts
        assert [v.sentence for v in verdicts if v.status == "failed"] == []
