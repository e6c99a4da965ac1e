"""The writer: each answer is what was stored, whatever queues up, repeats, overflows or fails beside it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger import commands as c
from ledger.batch import Previewed, Recorded, Refusal, Replayed, Request
from ledger.errors import Defect, LedgerNotFound, Overloaded, Unavailable
from ledger.writer import Answer, Writer
from tests.audit import audited
from tests.bookkeeping import (
    CHART,
    USD,
    code,
    deposit,
    do,
    done,
    head_locked,
    open_ledger,
    outcomes,
    submit,
    transaction,
    withdrawal,
    writing,
)


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    """A writer with the ledger `main` open; the database is audited at the end."""
    with writing(database) as writer:
        open_ledger(writer)
        yield writer
    audited(database)


# ---------------------------------------------------------------- keys


def test_a_key_used_twice_in_one_batch_has_one_effect(database: str, writer: Writer) -> None:
    """Equal keys that queue together: the first is recorded, the others replay it."""
    with head_locked(database):
        answers = [submit(writer, c.command(deposit(1, 100), key="k")) for _ in range(20)]
    replies = [outcomes(answer)[0] for answer in answers]
    assert isinstance(replies[0], Recorded)
    assert replies[1:] == [Replayed(done(replies[0]), 1)] * 19
    assert audited(database)["main"].posted("customers:1", USD) == 100


def test_a_key_in_flight_waits_and_replays(database: str, writer: Writer) -> None:
    """The same keys in batch after batch, each decided while its predecessor commits: one effect a key."""
    with head_locked(database):
        rounds = [
            [submit(writer, c.command(deposit(1, 1), key=f"k{i}")) for i in range(300)] for _ in range(4)
        ]
    seqs = [[done(outcomes(answer)[0]) for answer in answers] for answers in rounds]
    assert seqs[0] == seqs[1] == seqs[2] == seqs[3]
    books = audited(database)["main"]
    assert books.posted("customers:1", USD) == 300
    assert {key: seq for key, (seq, _) in books.keys.items()} == {f"k{i}": s for i, s in enumerate(seqs[0])}


def test_a_key_is_not_used_for_another_request(database: str, writer: Writer) -> None:
    """An altered request under a used key is refused, in the same batch and later, and does nothing."""
    with head_locked(database):
        first = submit(writer, c.command(deposit(1, 100), key="k"))
        altered = submit(writer, c.command(deposit(1, 101), key="k"))
    done(outcomes(first)[0])
    assert code(outcomes(altered)[0]) == "idempotency_key_reused"
    for body in (deposit(1, 99), deposit(2, 100), deposit(1, 100, description="x"), withdrawal(1, 100)):
        assert code(do(writer, body, key="k")) == "idempotency_key_reused"
    assert isinstance(do(writer, deposit(1, 100), key="k"), Replayed)
    assert len(audited(database)["main"].events) == 2


def test_a_rejection_is_remembered_and_replayed(database: str, writer: Writer) -> None:
    """The outcome of a key never changes, also when the same request would succeed by now."""
    refused = do(writer, withdrawal(1, 100), key="k")
    assert isinstance(refused, Refusal)
    assert (refused.rejection.code, refused.replayed) == ("insufficient_available", False)
    done(do(writer, deposit(1, 100)))
    assert do(writer, withdrawal(1, 100), key="k") == Refusal(refused.rejection, replayed=True)
    done(do(writer, withdrawal(1, 100), key="k2"))
    assert audited(database)["main"].rejected_keys == {"k"}


def test_an_atomic_group_has_one_outcome_under_one_key(database: str, writer: Writer) -> None:
    """All or none, and its key replays the whole group: events or rejections, each in its place."""

    def group(key: str, *bodies: c.Body) -> Request:
        return Request([c.command(b) for b in bodies], True, False, key, c.fingerprint(list(bodies)))

    good = (deposit(1, 100), withdrawal(1, 100), deposit(2, 5))
    recorded = writer.execute("main", group("good", *good))
    assert [done(outcome) for outcome in recorded] == [2, 3, 4]
    assert writer.execute("main", group("good", *good)) == [Replayed(2, 3)]
    bad = (deposit(1, 100), withdrawal(1, 101), deposit(2, 5))
    refused = writer.execute("main", group("bad", *bad))
    assert [code(outcome) for outcome in refused] == [
        "linked_failed",
        "insufficient_available",
        "linked_failed",
    ]
    again = writer.execute("main", group("bad", *bad))
    assert again == [Refusal(o.rejection, replayed=True) for o in refused if isinstance(o, Refusal)]
    books = audited(database)["main"]
    assert len(books.events) == 4
    assert books.keys["good"] == (2, 3)


def test_a_preview_stores_nothing(database: str, writer: Writer) -> None:
    """Neither the entry nor its key nor the account that it would open."""
    [shown] = writer.execute("main", Request([c.command(deposit(1, 100), key="k")], preview=True))
    assert isinstance(shown, Previewed)
    assert shown.event.seq == 2
    books = audited(database)["main"]
    assert (len(books.events), books.keys, books.accounts) == (1, {}, {})


# ---------------------------------------------------------------- trouble with one request or with all


def test_a_poisoned_request_fails_alone(database: str, writer: Writer) -> None:
    """What the database refuses fails; the requests that were batched with it are answered and stored."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'poison' USING ERRCODE = 'restrict_violation'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON daybook.accounts"
            " FOR EACH ROW WHEN (NEW.address = 'customers:666') EXECUTE FUNCTION poison()"
        )
    numbers = [1, 2, 666, 3, 4, 666, 5]
    with head_locked(database):
        answers = [submit(writer, c.command(deposit(n, 10), key=f"k{i}")) for i, n in enumerate(numbers)]
    failed = [i for i, answer in enumerate(answers) if isinstance(answer.result(60), Defect)]
    assert failed == [2, 5]
    books = audited(database)["main"]
    assert set(books.keys) == {"k0", "k1", "k3", "k4", "k6"}
    assert [books.posted(f"customers:{n}", USD) for n in (1, 2, 3, 4, 5)] == [10] * 5
    with psycopg.connect(database) as connection:
        connection.execute("DROP TRIGGER poison ON daybook.accounts")
    done(do(writer, deposit(666, 10), key="k2"))  # a failure is not remembered


def test_a_ledger_that_was_never_opened_is_not_found(database: str, writer: Writer) -> None:
    """No command but its opening makes a ledger, and asking for it leaves no row and no memory."""
    for _ in range(3):
        with pytest.raises(LedgerNotFound):
            do(writer, deposit(1, 100), ledger="nowhere")
    assert set(audited(database)) == {"main"}
    assert "nowhere" not in writer._books
    assert "nowhere" not in writer._recent


def test_a_ledger_opens_once_whoever_asks(database: str, writer: Writer) -> None:
    """Two processes that open one name: one is recorded, the other refused, and both go on with it."""
    with writing(database) as other:
        futures = [
            submit(each, c.command(c.LedgerOpening(name="new")), ledger="new")
            for each in (writer, other, writer, other)
        ]
        replies = [outcomes(future)[0] for future in futures]
        assert sum(isinstance(reply, Recorded) for reply in replies) == 1
        assert {code(reply) for reply in replies if not isinstance(reply, Recorded)} == {"ledger_exists"}
        assert code(do(other, deposit(1, 1), ledger="new")) == "asset_not_in_chart"


def test_overload_refuses_at_once_and_loses_nothing(database: str) -> None:
    """A full queue says so; what was taken into it is answered and stored, and nothing else is."""
    with writing(database, queue_limit=100, batch_size=50) as writer:
        open_ledger(writer)
        taken: dict[str, Future[Answer]] = {}
        refused = 0
        with head_locked(database):
            for i in range(500):
                try:
                    taken[f"k{i}"] = submit(writer, c.command(deposit(1, 1), key=f"k{i}"))
                except Overloaded:
                    refused += 1
        assert refused >= 250
        acknowledged = {key: (done(outcomes(answer)[0]), 1) for key, answer in taken.items()}
        done(do(writer, deposit(1, 1), key="after"))
    assert audited(database)["main"].keys == acknowledged | {"after": (len(acknowledged) + 2, 1)}


def test_close_answers_what_is_queued(database: str) -> None:
    """What was taken before closing is stored and answered; what comes after is refused."""
    with writing(database) as writer:
        open_ledger(writer)
        answers = [submit(writer, c.command(deposit(1, 1))) for _ in range(3_000)]
    assert sorted(done(outcomes(answer)[0]) for answer in answers) == list(range(2, 3_002))
    with pytest.raises(Unavailable):
        submit(writer, c.command(deposit(1, 1)))
    assert audited(database)["main"].posted("customers:1", USD) == 3_000


def test_an_answer_that_cannot_be_delivered_harms_nobody(database: str, writer: Writer) -> None:
    """A callback that raises does not end the worker, nor change what is stored."""

    def broken(answer: Answer) -> None:
        raise RuntimeError("nobody listens")

    for _ in range(8):  # more than there are workers
        writer.submit("main", Request([c.command(deposit(1, 1))]), broken)
    done(do(writer, deposit(1, 1)))
    assert audited(database)["main"].posted("customers:1", USD) == 9


# ---------------------------------------------------------------- many ledgers, little memory


def test_thousands_of_ledgers_share_a_few_connections(database: str) -> None:
    """1,500 ledgers at once through four connections: each is opened and posted to, and all are sound."""
    with writing(database, connections=4, cache_limit=300) as writer:
        answers = []
        for n in range(1_500):
            name = f"ledger-{n}"
            opening = c.LedgerOpening(name=name, chart=CHART)
            answers.append(submit(writer, c.command(opening), ledger=name))
            answers.append(submit(writer, c.command(_income(n + 1), key="k"), ledger=name))
        for n in range(1_500):
            answers.append(submit(writer, c.command(_income(1)), ledger=f"ledger-{n}"))
        for answer in answers:
            done(outcomes(answer)[0])
        assert writer._cached <= 300
    books = audited(database)
    assert [books[f"ledger-{n}"].posted("fees", USD) for n in range(1_500)] == [n + 2 for n in range(1_500)]


def _income(amount: int) -> c.Transaction:
    return transaction("cash", "fees", amount)


def test_a_database_without_the_schema_is_a_defect_at_once(database: str) -> None:
    """It is not waited for as for a server that may come back."""
    with writing(make_conninfo(database, dbname="postgres")) as writer:
        answer = submit(writer, c.command(c.LedgerOpening(name="main", chart=CHART)))
        assert isinstance(answer.result(10), Defect)


def test_a_small_cache_decides_as_a_large_one(database: str) -> None:
    """With room for ten accounts, a hundred customers in turn are still bounded by what they have."""
    with writing(database, cache_limit=10) as writer:
        open_ledger(writer)
        for n in range(100):
            done(do(writer, deposit(n, 10)))
        for n in range(100):
            done(do(writer, withdrawal(n, 7)))
            assert code(do(writer, withdrawal(n, 4))) == "insufficient_available"
    books = audited(database)["main"]
    assert {books.posted(f"customers:{n}", USD) for n in range(100)} == {3}
