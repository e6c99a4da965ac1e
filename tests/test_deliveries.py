"""Webhooks to a real receiver that fails, hangs, redirects, drips and comes back; time is the test's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from ledger.vault import Vault, VaultError
from projections.deliveries import schedule
from projections.deliveries import subscriptions as s
from projections.deliveries.courier import Courier, Couriers, utc_now
from projections.deliveries.sending import Sender
from projections.versions import connect
from tests.daybook_command import ROOT
from tests.post_office import PostOffice, post_office
from tests.receiver import Line, Received, receiver, says, takes


@pytest.fixture
def office(database: str, tmp_path: Path) -> Iterator[PostOffice]:
    with post_office(database, tmp_path) as office:
        yield office


# ---------------------------------------------------------------- what arrives


def test_every_event_arrives_once_in_order_and_signed(office: PostOffice) -> None:
    """From the seq asked for; an independent library accepts each; `data` is the stored event itself."""
    office.post(3)
    with receiver() as endpoint:
        made = office.subscribe(endpoint.url, after=1)
        assert office.run() == 3
        office.post(2)
        assert office.run() == 2
        assert office.run() == 0
    assert endpoint.seqs() == [2, 3, 4, 5, 6]
    assert len({message.id for message in endpoint.received}) == 5
    for message in endpoint.received:
        Webhook(made.secret).verify(message.body, message.headers)
        assert message.headers["content-type"] == "application/json"
        assert (message.json["id"], message.json["ledger"]) == (message.id, "main")
        assert message.json["type"] == message.json["data"]["type"] == "transaction_posted"
        assert message.body.endswith(b'"data":' + office.body(message.seq) + b"}")
    stands = office.see(made.subscription.id)
    assert (stands.checkpoint, stands.waiting, stands.dead, stands.failing_since) == (6, 0, 0, None)
    assert [(a.seq, a.attempt, a.status, a.error) for a in office.log(stands.id)] == [
        (seq, 1, 204, None) for seq in range(2, 7)
    ]


def test_only_wanted_types_arrive_and_only_from_now_on(office: PostOffice) -> None:
    """Without `after` the past is not sent; an unwanted event moves the checkpoint and makes no row."""
    office.post(2)
    with receiver() as endpoint:
        some = office.subscribe(endpoint.url, types=["account_closed"])
        every = office.subscribe(endpoint.url)
        office.post(1)
        office.run()
    assert endpoint.seqs() == [4]
    assert office.see(some.subscription.id).checkpoint == office.see(every.subscription.id).checkpoint == 4


def test_the_schemes_of_systems_that_exist(office: PostOffice) -> None:
    """CaaS: hex over the raw body after `sha256=`. TrueStack: base64 over milliseconds, dot, raw body."""
    with receiver() as caas, receiver() as kredit:
        one = office.subscribe(caas.url, scheme="sha256")
        other = office.subscribe(kredit.url, scheme="trueidentity", secret="shared with Kredit")
        office.post(1)
        office.run()
    [message] = caas.received
    mac = hmac.new(one.secret.encode(), message.body, hashlib.sha256)
    assert message.headers["x-caas-signature"] == f"sha256={mac.hexdigest()}"
    assert message.json["eventId"].startswith("msg_")
    assert message.json["eventType"] == "transaction_posted"
    [message] = kredit.received
    stamp = message.headers["x-trueidentity-timestamp"]
    assert abs(int(stamp) - office.now.timestamp() * 1_000) < 1_000
    mac = hmac.new(b"shared with Kredit", stamp.encode() + b"." + message.body, hashlib.sha256)
    assert message.headers["x-trueidentity-signature"] == base64.b64encode(mac.digest()).decode()
    assert message.headers["x-truestack-event"] == "transaction_posted"
    assert other.secret == "shared with Kredit"


def test_two_secrets_are_in_force_for_a_day(office: PostOffice) -> None:
    """After a rotation either verifies; a day later only the new one signs."""
    with receiver() as endpoint:
        made = office.subscribe(endpoint.url)
        rotated = s.rotate(office.connection, office.vault, "main", made.subscription.id, s.Rotation())
        assert rotated.secret != made.secret
        assert rotated.subscription.former_secret_until is not None
        office.post(1)
        office.run()
        for secret in (made.secret, rotated.secret):
            Webhook(secret).verify(endpoint.received[0].body, endpoint.received[0].headers)
        assert endpoint.received[0].headers["webhook-signature"].count("v1,") == 2
        office.post(1)
        office.later(hours=24, seconds=1)
        last = endpoint.received[-1]
        key = base64.b64decode(rotated.secret.removeprefix("whsec_"))
        signed = f"{last.id}.{last.headers['webhook-timestamp']}.".encode() + last.body
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert last.headers["webhook-signature"] == f"v1,{mac}"


# ---------------------------------------------------------------- what fails


def test_the_schedule_to_the_dead_letter_and_back(office: PostOffice) -> None:
    """Ten attempts, each when the specification says and a tenth later at most, always under one id."""
    with receiver(says(500)) as endpoint:
        made = office.subscribe(endpoint.url)
        [seq] = office.post(1)
        id = made.subscription.id
        office.run()
        hours = 3_600
        for n, delay in enumerate(
            (5, 300, 1_800, 2 * hours, 5 * hours, 10 * hours, 14 * hours, 20 * hours, 24 * hours), start=1
        ):
            office.chance = n % 2  # a double of luck: the least and the most
            [message] = office.messages(id)
            assert (message.attempts, message.dead) == (n, False)
            wait = datetime.fromisoformat(message.next_at or "") - office.now
            least = timedelta(seconds=delay)
            assert least <= wait <= 1.1 * least + timedelta(milliseconds=1)
            assert office.later(seconds=wait.total_seconds() - 0.001) == 0
            assert office.later(seconds=0.002) == 1
        [message] = office.messages(id, dead=True)
        assert (message.seq, message.attempts, message.next_at) == (seq, 10, None)
        assert office.later(days=30) == 0
        assert len({m.id for m in endpoint.received}) == len({m.body for m in endpoint.received}) == 1
        assert len({m.headers["webhook-timestamp"] for m in endpoint.received}) == 10
        assert len({m.headers["webhook-signature"] for m in endpoint.received}) == 10
        endpoint.behaviour = takes
        assert s.revive(office.connection, "main", id, [seq + 1]).dead == 1
        assert s.revive(office.connection, "main", id, None).dead == 0
        office.now = utc_now() + timedelta(seconds=5)
        assert office.run() == 1
    assert endpoint.received[-1].id == endpoint.received[0].id
    assert (office.see(id).waiting, office.see(id).dead, office.see(id).failing_since) == (0, 0, None)


def test_one_failing_message_does_not_stop_the_others(office: PostOffice) -> None:
    """Later ones flow, and it comes when its time has come."""

    def behaviour(received: Received, line: Line) -> None:
        line.answer(500 if received.seq == 3 and len(endpoint.received) < 5 else 200)

    with receiver(behaviour) as endpoint:
        office.subscribe(endpoint.url)
        office.post(4)
        office.run()
        assert endpoint.seqs() == [2, 3, 4, 5]
        office.post(1)
        office.later(seconds=6)
    assert sorted(endpoint.seqs()[4:]) == [3, 6]


def test_no_more_than_a_hundred_messages_wait(office: PostOffice) -> None:
    """While an endpoint is down the checkpoint stops; the log holds the rest, and all of it comes at last."""
    with receiver(says(503)) as endpoint:
        made = office.subscribe(endpoint.url)
        office.post(230)
        office.run()
        stands = office.see(made.subscription.id)
        assert (stands.waiting, stands.checkpoint) == (100, 101)
        endpoint.behaviour = takes
        endpoint.received.clear()
        office.later(seconds=6)
    assert sorted(endpoint.seqs()) == list(range(2, 232))


@pytest.mark.parametrize(
    ("value", "seconds"), [("1200", 1_200), ("0", 5), ("soon", 5), ("-1", 5), ("99999999999999", 86_400)]
)
def test_retry_after_is_honoured(office: PostOffice, value: str, seconds: int) -> None:
    """Where it is later than the schedule, for a day at most."""
    office.chance = 0
    with receiver(says(429, retry_after=value)) as endpoint:
        made = office.subscribe(endpoint.url)
        office.post(1)
        office.run()
    [message] = office.messages(made.subscription.id)
    assert datetime.fromisoformat(message.next_at or "") == office.now + timedelta(seconds=seconds)


def test_retry_after_may_be_a_date() -> None:
    """An HTTP date counts from now, and one that is past asks for nothing."""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for span in (timedelta(seconds=90), timedelta()):
        assert schedule.parse_retry_after(format_datetime(now + span, usegmt=True), now) == span
    assert (
        schedule.parse_retry_after(format_datetime(now - timedelta(days=1), usegmt=True), now) == timedelta()
    )


def test_an_endpoint_that_is_gone_is_disabled(office: PostOffice) -> None:
    """410: nothing is sent any more, it says why, and resuming loses nothing."""
    with receiver(says(410)) as endpoint:
        made = office.subscribe(endpoint.url)
        id = made.subscription.id
        office.post(1)
        office.run()
        office.post(2)
        assert office.later(days=2) == 0
        stands = office.see(id)
        assert stands.state == "disabled"
        assert "410" in (stands.disabled_reason or "")
        endpoint.behaviour = takes
        s.resume(office.connection, "main", id)
        office.run()
    assert sorted(endpoint.seqs()) == [2, 2, 3, 4]
    assert office.see(id).state == "active"


def test_an_endpoint_that_fails_for_five_days_is_disabled(office: PostOffice) -> None:
    """Counted from the first failure after the last success; resuming loses nothing."""
    with receiver(says(500)) as endpoint:
        made = office.subscribe(endpoint.url)
        id = made.subscription.id
        office.post(1)
        office.run()
        for _ in range(4):
            office.later(days=1)
        assert office.see(id).state == "active"
        endpoint.behaviour = takes
        office.later(days=1)
        assert office.see(id).failing_since is None
        endpoint.behaviour = says(500)
        for _ in range(6):
            assert office.see(id).state == "active"
            office.post(1)
            office.later(days=1)
        stands = office.see(id)
        assert stands.state == "disabled"
        assert "has failed" in (stands.disabled_reason or "")
        office.post(1)
        assert office.later(days=1) == 0
        endpoint.behaviour = takes
        endpoint.received.clear()
        s.resume(office.connection, "main", id)
        office.run()
    assert sorted(endpoint.seqs()) == [3, 4, 5, 6, 7, 8, 9]


def test_a_redirect_is_a_failure(office: PostOffice) -> None:
    """Nobody goes where it points."""
    with receiver() as elsewhere, receiver() as endpoint:
        for status in (301, 302, 303, 307, 308):
            endpoint.behaviour = says(status, location=elsewhere.url)
            made = office.subscribe(endpoint.url)
            office.post(1)
            office.run()
            assert [(a.status, a.error) for a in office.log(made.subscription.id)] == [(status, None)]
            assert office.see(made.subscription.id).waiting == 1
            s.delete(office.connection, "main", made.subscription.id)
    assert elsewhere.received == []


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (lambda received, line: line.hang(), "timed out"),
        (lambda received, line: line.drip(HEAD + b"x" * 1_000, 0.1), "timed out"),
        (lambda received, line: line.drip(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1_000, 0.01), "timed out"),
        (lambda received, line: line.handler.wfile.write(b"SSH-2.0\r\n"), "the answer is not HTTP"),
        (lambda received, line: line.handler.connection.close(), None),
    ],
)
def test_an_endpoint_that_hangs_or_babbles_costs_one_deadline(
    office: PostOffice, behaviour: object, error: str | None
) -> None:
    """Whatever it does, the attempt ends in time and has failed."""
    with receiver(behaviour) as endpoint:  # type: ignore[arg-type]
        made = office.subscribe(endpoint.url)
        office.post(1)
        began = time.monotonic()
        assert office.run() == 1
        assert time.monotonic() - began < 4
    [attempt] = office.log(made.subscription.id)
    assert attempt.status is None
    assert attempt.error == error or error is None
    assert office.see(made.subscription.id).waiting == 1


def test_an_answer_without_end_is_not_read(office: PostOffice) -> None:
    """A 200 is a 200; what follows is left unread after 64 KiB."""

    def endless(received: Received, line: Line) -> None:
        line.handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n")
        while True:
            line.handler.wfile.write(b"x" * 65_536)

    with receiver(endless) as endpoint:
        made = office.subscribe(endpoint.url)
        office.post(1)
        office.run()
    assert [a.status for a in office.log(made.subscription.id)] == [200]


def test_nobody_at_the_address(office: PostOffice) -> None:
    """A port that refuses is a failed attempt, in a few words."""
    with receiver() as endpoint:
        pass
    made = office.subscribe(endpoint.url)
    office.post(1)
    office.run()
    assert [(a.status, a.error) for a in office.log(made.subscription.id)] == [(None, "no connection")]


# ---------------------------------------------------------------- what people do


def test_pause_resume_replay_and_delete(office: PostOffice) -> None:
    """Paused loses nothing; a replay sends the same ids again and then goes on; deleted leaves no rows."""
    with receiver() as endpoint:
        made = office.subscribe(endpoint.url)
        id = made.subscription.id
        office.post(2)
        office.run()
        s.pause(office.connection, "main", id)
        office.post(2)
        assert office.later(days=10) == 0
        s.resume(office.connection, "main", id)
        office.run()
        assert endpoint.seqs() == [2, 3, 4, 5]
        s.replay(office.connection, "main", id, 3)
        office.post(1)
        office.run()
        assert endpoint.seqs()[4:] == [4, 5, 6]
        assert [m.id for m in endpoint.received[4:6]] == [m.id for m in endpoint.received[2:4]]
        endpoint.behaviour = says(500)
        office.post(3)
        office.run()
        s.delete(office.connection, "main", id)
        assert office.later(days=1) == 0
        with pytest.raises(s.SubscriptionNotFound):
            office.see(id)
        office.courier.clear(office.connection)
    for table in ("subscriptions", "messages", "attempts"):
        query = f"SELECT count(*) FROM projections.{table}".encode()
        assert office.connection.execute(query).fetchone() == (0,)


def test_the_log_is_kept_for_a_month(office: PostOffice) -> None:
    """Older attempts are forgotten."""
    with receiver() as endpoint:
        made = office.subscribe(endpoint.url)
        office.post(1)
        office.run()
        office.post(1)
        office.later(days=20)
    for days, left in ((0, 2), (15, 1), (30, 0)):
        office.now += timedelta(days=days)
        office.courier.clear(office.connection)
        assert len(office.log(made.subscription.id)) == left


def test_secrets_are_sealed_with_a_key_that_is_not_in_the_database(
    office: PostOffice, tmp_path: Path
) -> None:
    """The rows hold nothing of it; without the key nothing can be signed, and another key is noticed."""
    with receiver() as endpoint:
        made = office.subscribe(endpoint.url)
        key = base64.b64decode(made.secret.removeprefix("whsec_"))
        [row] = office.connection.execute(
            "SELECT secret, s::text FROM projections.subscriptions s"
        ).fetchall()
        for part in (key, made.secret.encode()):
            assert part not in row[0]
            assert part.hex() not in row[1]
        assert (tmp_path / "webhooks.key").stat().st_mode & 0o777 == 0o600
        other = Courier(office.sender, Vault(tmp_path / "other"), lambda: office.now)
        office.post(1)
        other.take(office.connection)
        [place] = other.due(office.connection)
        answer = other.deliver(office.connection, place)
        assert answer is not None
        assert (answer.status, answer.error) == (None, "the secret cannot be opened here")
        assert endpoint.received == []
    with pytest.raises(VaultError, match="another key"):
        Vault(tmp_path / "other").open(row[0], made.subscription.id)
    with pytest.raises(VaultError, match="another key"):
        office.vault.open(row[0], "another subscription")
    (tmp_path / "webhooks.key").chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault(tmp_path).open(row[0], made.subscription.id)


# ---------------------------------------------------------------- threads, processes, crashes


def test_couriers_share_the_work(office: PostOffice, tmp_path: Path) -> None:
    """Three of them, as three processes would be: with nobody killed, each message arrives once."""
    with receiver() as first, receiver() as second, receiver(lambda r, line: line.hang()) as hanging:
        for endpoint in (first, second, hanging):
            office.subscribe(endpoint.url)
        several = [
            Couriers(office.database, Courier(Sender(insecure=True, deadline=2.0), Vault(tmp_path)))
            for _ in range(3)
        ]
        try:
            seqs = office.post(150)
            for one in several:
                one.hint()
            first.until(150)
            second.until(150)
        finally:
            for one in several:
                one.close()
    assert sorted(first.seqs()) == sorted(second.seqs()) == seqs
    assert len(hanging.received) >= 1


CHILD = """
import sys, time
from pathlib import Path
from projections.deliveries.courier import Courier, Couriers
from projections.deliveries.sending import Sender
from ledger.vault import Vault
Couriers(sys.argv[1], Courier(Sender(insecure=True), Vault(Path(sys.argv[2]))))
time.sleep(600)
"""


def test_a_courier_killed_after_sending_sends_again(office: PostOffice, tmp_path: Path) -> None:
    """kill -9 between the sending and the writing: no message is lost, a repeated one has its id."""
    process: list[subprocess.Popen[bytes]] = []

    def kills(received: Received, line: Line) -> None:
        if received.seq % 5 == 0 and endpoint.seqs().count(received.seq) == 1:
            process[-1].send_signal(signal.SIGKILL)
            process[-1].wait()
        line.answer(200)

    with receiver(kills) as endpoint:
        id = office.subscribe(endpoint.url).subscription.id
        seqs = office.post(14)
        deadline = time.monotonic() + 60

        def finished() -> bool:
            stands = office.see(id)
            return stands.checkpoint == seqs[-1] and stands.waiting == 0

        while not finished():
            assert time.monotonic() < deadline
            process.append(
                subprocess.Popen([sys.executable, "-c", CHILD, office.database, str(tmp_path)], cwd=ROOT)
            )
            while process[-1].poll() is None and not finished():
                time.sleep(0.02)
        process[-1].kill()
        process[-1].wait()
    assert len(process) == 4
    assert set(endpoint.seqs()) == set(seqs)
    by_seq: dict[int, set[str]] = {}
    for message in endpoint.received:
        by_seq.setdefault(message.seq, set()).add(message.id)
    assert all(len(ids) == 1 for ids in by_seq.values())
    assert {seq for seq in seqs if endpoint.seqs().count(seq) > 1} == {5, 10, 15}


def test_a_database_that_goes_away_between_sending_and_writing(office: PostOffice) -> None:
    """The connection is cut while the endpoint has the message: it comes again, with the same id."""

    def cuts(received: Received, line: Line) -> None:
        if len(endpoint.received) == 1:
            with psycopg.connect(office.database, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", [office.connection.info.backend_pid])
        line.answer(200)

    with receiver(cuts) as endpoint:
        office.subscribe(endpoint.url)
        office.post(1)
        with pytest.raises(psycopg.OperationalError):
            office.run()
        with closing(connect(office.database)) as again:
            office.connection = again
            office.run()
            assert office.run() == 0
    assert endpoint.received[0].id == endpoint.received[1].id
    assert len(endpoint.received) == 2


def test_making_messages_and_sending_them_do_not_wait_for_each_other(office: PostOffice) -> None:
    """While one is being sent, a replay takes it again without waiting, and nothing is sent twice for it."""
    during: list[float] = []

    def slow(received: Received, line: Line) -> None:
        if len(endpoint.received) == 1:
            with closing(connect(office.database)) as other:
                began = time.monotonic()
                s.replay(other, "main", id, 0)
                office.courier.take(other)
                during.append(time.monotonic() - began)
        line.answer(200)

    office.courier = Courier(Sender(insecure=True, deadline=5.0), office.vault, lambda: office.now)
    with receiver(slow) as endpoint:
        made = office.subscribe(endpoint.url)
        id = made.subscription.id
        office.post(1)
        office.run()
    assert during
    assert during[0] < 4
    assert sorted(endpoint.seqs()) == [1, 2]


def test_a_hanging_endpoint_does_not_delay_others(office: PostOffice, tmp_path: Path) -> None:
    """It costs one of two threads while the other sends twenty messages; both end when told to."""
    with receiver(lambda r, line: line.hang()) as hanging, receiver() as endpoint:
        stuck = office.subscribe(hanging.url).subscription.id
        office.subscribe(endpoint.url)
        courier = Courier(Sender(insecure=True, deadline=30.0), Vault(tmp_path))
        threads = Couriers(office.database, courier, threads=2)
        seqs = office.post(20)
        threads.hint()
        hanging.until(1)
        endpoint.until(20)
        assert (endpoint.seqs(), hanging.seqs(), office.log(stuck)) == (seqs, seqs[:1], [])
        hanging.ended.set()
        threads.close()
    assert not any(thread.name.startswith("daybook-courier") for thread in threading.enumerate())
