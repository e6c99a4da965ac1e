"""Canonical bytes: anybody can re-derive what was hashed, and one request has one fingerprint."""

from __future__ import annotations

import json
import unicodedata
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import commands as c
from ledger.batch import Refusal, Request
from ledger.events import encode, read_event
from ledger.text import check_text, encode_canonical, from_iso, is_address, iso, micros, moment
from projections.audit.rules import RULES
from tests.desk import Desk
from tests.journal import BOOK, START, play

texts = (
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: "\x00" not in text)
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = micros(datetime(1, 1, 1, tzinfo=UTC))
LAST = micros(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))


def canonical(value: Any) -> bytes:
    """The rule, with Python's own library."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def transaction(**more: Any) -> c.Transaction:
    postings = [c.Posting("cash", "debit", 5, "USD/2"), c.Posting("customers:1", "credit", 5, "USD/2")]
    return c.Transaction(postings=postings, **more)


def prepared() -> Desk:
    return play(BOOK).desk


@given(texts, texts, st.dictionaries(texts.filter(bool), texts, max_size=8), texts)
def test_event_is_canonical_json(
    description: str, reference: str, metadata: dict[str, str], actor: str
) -> None:
    """Python's json with sorted keys and no white space gives the stored bytes, for any text."""
    desk = prepared()
    body = transaction(description=description, reference=reference, metadata=metadata)
    plan = desk.run([Request([c.command(body, actor=actor, key="k", request_id=reference)])], START + 10**6)
    [stored] = [accepted.body for accepted in plan.accepted]
    parsed = json.loads(stored)
    assert canonical(parsed) == stored
    assert parsed.get("metadata", {}) == metadata
    assert (parsed.get("description", ""), parsed.get("actor", "")) == (description, actor)
    assert encode(read_event(stored)) == stored


def test_every_kind_of_event_of_the_core_is_canonical_json() -> None:
    """Opening, chart, limits, closing, holds, reversal, annotation, periods, restore: all of them."""
    desk = (
        play(BOOK)
        .play("""
        hold timeout=5
          Dr customers:1  10
          Cr cash         10
        part 3 4 4
        hold timeout=2
          Dr customers:1  1
          Cr free:1       1
        hold
          Dr customers:1  1
          Cr cash         1
        void 6
        wait 3
        reverse 4 1 1
        annotate 2
        limits cash max=1000 min:EUR/2=-7
        open free:9
        close free:9
        shut 2026-12
        reopen 2026-12
        post at=-4 first=-9
          Dr cash         1
          Cr customers:1  1
        assert cash -100 on=2026-12-31
        restore
        chart USD/2 KWD/3
          a:{b}  equity  contra memo assets=USD/2 max=5
    """)
        .desk
    )
    bodies = desk.bodies
    assert {json.loads(body)["type"] for body in bodies} == set(RULES)
    assert [canonical(json.loads(body)) for body in bodies] == bodies
    assert [encode(read_event(body)) for body in bodies] == bodies


def test_amounts_are_digit_strings_and_moments_have_six_decimals() -> None:
    """No number in a body can lose digits in a reader that uses floats."""
    desk = prepared()
    body = json.loads(desk.bodies[1])
    assert [p["amount"] for p in body["postings"]] == ["100", "100"]
    assert body["recorded_at"] == "2027-01-15T08:00:00.000002Z"


@given(st.integers(FIRST, LAST) | st.sampled_from((FIRST, LAST, -1, 0, 1)))
@settings(max_examples=500)
def test_moments_go_and_come_back(us: int) -> None:
    """Every microsecond of the years 1 to 9999 has one spelling of 27 characters, sorted as time is."""
    text = iso(us)
    assert len(text) == 27
    assert from_iso(text) == us
    assert micros(moment(us)) == us
    naive = (moment(us) if us % 2 else EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)
    assert text == naive.isoformat(timespec="microseconds") + "Z"
    if us < LAST:
        assert text < iso(us + 1)


@pytest.mark.parametrize("year", [1, 9, 99, 999, 1000, 9999])
def test_years_have_four_digits(year: int) -> None:
    """Years below 1000 are padded with zeros."""
    assert iso(micros(datetime(year, 2, 3, tzinfo=UTC))) == f"{year:04}-02-03T00:00:00.000000Z"


# ---------------------------------------------------------------- what is refused, and where


DECOMPOSED = "Cafe\u0301"


def decoded(**more: Any) -> c.Transaction:
    body = {
        "postings": [
            {"account": "cash", "side": "debit", "amount": 5, "asset": "USD/2"},
            {"account": "customers:1", "side": "credit", "amount": 5, "asset": "USD/2"},
        ]
    }
    return c.decode_transaction(json.dumps(body | more).encode())


@pytest.mark.parametrize("bad", ["a\x00b", DECOMPOSED])
@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("description", lambda bad: {"description": bad}),
        ("reference", lambda bad: {"reference": bad}),
        ("metadata.name", lambda bad: {"metadata": {"name": bad}}),
        ("metadata", lambda bad: {"metadata": {bad: "value"}}),
    ],
)
def test_text_with_two_spellings_or_nul_is_refused_with_its_field(bad: str, field: str, place: Any) -> None:
    """Text that PostgreSQL cannot hold or that has another spelling is refused when read, never changed."""
    with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
        decoded(**place(bad))


@given(st.text(max_size=20))
def test_text_is_accepted_exactly_when_it_is_normal_and_has_no_nul(text: str) -> None:
    """No text is refused for another reason."""
    good = "\x00" not in text and unicodedata.normalize("NFC", text) == text
    with nullcontext() if good else pytest.raises(ValueError, match="`description`"):
        check_text("description", text)


@pytest.mark.parametrize("bad", ["UTC\x00", "Praha\u0301", "", "UTC\n", "Europe/", "../zone", "a b"])
def test_what_cannot_name_a_time_zone_is_refused_with_its_field(bad: str) -> None:
    """A ledger's time zone is stored as text, too."""
    with pytest.raises(msgspec.ValidationError, match="time_zone"):
        msgspec.convert({"name": "main", "time_zone": bad}, c.LedgerOpening)


def test_every_time_zone_can_be_named() -> None:
    """No IANA name is refused."""
    for name in available_timezones() | {"UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"}:
        assert msgspec.convert({"name": "main", "time_zone": name}, c.LedgerOpening).time_zone == name


@pytest.mark.parametrize(
    ("address", "good"),
    [("a", True), ("a:b.C-_9", True), ("a" * 255, True), ("a" * 256, False)]
    + [(bad, False) for bad in ("", ":", "a:", "a::b", "a b", "é", "a\n", "a/b", "a{b}")],
)
def test_addresses(address: str, good: bool) -> None:
    """Segments of letters, digits, `_`, `.`, `-` joined by `:`, at most 255 characters; commands agree."""
    assert is_address(address) is good
    with nullcontext() if good else pytest.raises(msgspec.ValidationError, match="address"):
        msgspec.convert({"address": address}, c.AccountOpening)


# ---------------------------------------------------------------- amounts and fingerprints


def with_amount(amount: str) -> bytes:
    leg = '{"account": "cash", "side": "%s", "amount": %s, "asset": "USD/2"}'
    return f'{{"postings": [{leg % ("debit", amount)}, {leg % ("credit", amount)}]}}'.encode()


@given(st.integers(1, 2**63 - 1), st.integers(0, 3))
def test_amount_as_digits_is_the_same_request(amount: int, zeros: int) -> None:
    """A string of digits means the number: one value, one fingerprint."""
    number = c.decode_transaction(with_amount(str(amount)))
    digits = ("0" * zeros + str(amount))[-19:]
    text = c.decode_transaction(with_amount(f'"{digits}"'))
    assert [p.amount for p in text.postings] == [amount] * 2
    assert c.fingerprint([text]) == c.fingerprint([number])


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "-1",
        "1.0",
        "1e3",
        "9223372036854775808",
        "18446744073709551616",
        '"9223372036854775808"',
        '"0"',
        '""',
        '"-5"',
        '"+5"',
        '" 5"',
        '"5 "',
        '"1_000"',
        '"\N{ARABIC-INDIC DIGIT THREE}"',
        '"5.0"',
        "null",
        "true",
        "[5]",
        "NaN",
    ],
)
def test_what_is_no_amount_is_refused_with_its_field(amount: str) -> None:
    """Zero, signs, fractions, floats, 65 bits and other digits are refused when read."""
    with pytest.raises(msgspec.DecodeError, match=r"amount|malformed"):
        c.decode_transaction(with_amount(amount))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"effective_at": "2026-11-20T10:00:00Z"}, {"effective_at": "2026-11-20T11:00:00+01:00"}),
        ({"effective_at": "2026-11-20T10:00:00Z"}, {"effective_at": "2026-11-20T10:00:00.000000Z"}),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"b": "2", "a": "1"}}),
        ({}, {"pending": False, "description": "", "metadata": {}, "conditions": []}),
    ],
)
def test_same_meaning_has_the_same_fingerprint(one: dict[str, Any], other: dict[str, Any]) -> None:
    """How a request is written does not matter to its key."""
    assert c.fingerprint([decoded(**one)]) == c.fingerprint([decoded(**other)])


def test_different_requests_have_different_fingerprints() -> None:
    """Every field counts, and so do the operation, its subject and the number of bodies."""
    prints = [
        c.fingerprint([decoded()]),
        c.fingerprint([decoded(description="x")]),
        c.fingerprint([decoded(reference="x")]),
        c.fingerprint([decoded(pending=True)]),
        c.fingerprint([decoded(pending=True, timeout_seconds=5)]),
        c.fingerprint([decoded(up_to=True)]),
        c.fingerprint([decoded(metadata={"a": "b"})]),
        c.fingerprint([decoded(effective_at="2026-11-20T10:00:00Z")]),
        c.fingerprint([decoded(conditions=[{"account": "cash", "asset": "USD/2", "min": 0}])]),
        c.fingerprint([decoded(), decoded()]),
        c.fingerprint([c.HoldPosting()], 3),
        c.fingerprint([c.HoldPosting()], 4),
        c.fingerprint([c.HoldPosting(final=True)], 3),
        c.fingerprint([c.HoldPosting(amounts=[1, 1])], 3),
        c.fingerprint([c.HoldVoid()], 3),
        c.fingerprint([c.Reversal()], 3),
        c.fingerprint([c.AccountClosing()], "a"),
        c.fingerprint([c.AccountOpening("a")]),
    ]
    assert len(set(prints)) == len(prints)


def test_key_of_the_body_is_not_part_of_the_request() -> None:
    """The same transaction under a key in the header or in the body is the same request."""
    inside = c.command(decoded(idempotency_key="k"))
    header = c.command(decoded(), key="k")
    assert (inside.key, inside.fingerprint) == (header.key, header.fingerprint)


@given(st.dictionaries(texts, texts, max_size=6))
def test_keys_are_sorted_by_code_point(names: dict[str, str]) -> None:
    """Also beyond the basic plane, where UTF-16 would sort otherwise."""
    assert list(json.loads(encode_canonical(names))) == sorted(names)
    assert encode_canonical(names) == canonical(names)


def test_rejected_command_leaves_no_bytes() -> None:
    """A refusal is no event."""
    desk = prepared()
    plan = desk.run([Request([c.command(c.AccountOpening("cash"))])], START + 10**6)
    assert isinstance(plan.outcomes[0][0], Refusal)
    assert plan.accepted == []
