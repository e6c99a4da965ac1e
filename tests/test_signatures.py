"""The signature schemes: what a provider signed is taken, and nothing else is."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest

from adapters import signatures
from adapters.providers import ADAPTERS
from adapters.signatures import TOLERANCE, Untrusted, new_secret
from tests.senders import SECRETS, SIGN, TIMED, kredit_in_hex, other, signed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BODY = b'{"id":"evt_1","event":"x","note":"\xc3\xa4"}'
PROVIDERS = sorted(ADAPTERS)


def verify(
    provider: str, headers: dict[str, str], body: bytes = BODY, secrets: tuple[str, ...] = ()
) -> str | Untrusted:
    named = {name.lower(): value for name, value in headers.items()}
    return ADAPTERS[provider].scheme.verify(secrets or (SECRETS[provider],), named, body, NOW)


def good(provider: str, body: bytes = BODY, late: timedelta = timedelta()) -> dict[str, str]:
    return signed(provider, body, at=(NOW + late).timestamp())


def refused(verdict: str | Untrusted, provider: str) -> bool:
    """Not taken, with the status that its contract names."""
    if isinstance(verdict, Untrusted):
        assert verdict.status == (400 if provider == "stripe" else 401)
        return True
    return False


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_provider_signed_is_taken(provider: str) -> None:
    """By its own documents and, for Stripe and Standard Webhooks, by their own libraries."""
    assert verify(provider, good(provider)) == ("msg_1" if provider == "standard" else "")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_changed_body_is_refused(provider: str) -> None:
    """One byte more, one less, one other."""
    for body in (BODY + b" ", BODY[:-1], BODY.replace(b"x", b"y")):
        assert refused(verify(provider, good(provider), body), provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_secret_is_refused(provider: str) -> None:
    """What was signed with a secret that is not the endpoint's."""
    assert refused(verify(provider, good(provider), secrets=(other(provider),)), provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_secrets_count_while_one_is_rotated(provider: str) -> None:
    """Whichever of the two it was signed with, and wherever it stands."""
    for secrets in ((SECRETS[provider], other(provider)), (other(provider), SECRETS[provider])):
        assert not refused(verify(provider, good(provider), secrets=secrets), provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_a_secret_nothing_is_taken(provider: str) -> None:
    """No secret at all: not even what is signed with the empty text."""
    scheme = ADAPTERS[provider].scheme
    named = {name.lower(): value for name, value in good(provider).items()}
    assert refused(scheme.verify((), named, BODY, NOW), provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_or_spoiled_header_is_refused(provider: str) -> None:
    """Each signed header gone, empty, cut, garbage; never an error."""
    headers = good(provider)
    for name in headers:
        if name == "X-Delivery-Id":  # not signed
            continue
        rest = {key: value for key, value in headers.items() if key != name}
        assert refused(verify(provider, rest), provider)
        for value in ("", "x", "v1", "=", "sha256=", headers[name][:-2], "é" * 40, "t=,v1=", "1e5", "-1"):
            assert refused(verify(provider, {**rest, name: value}), provider), value


@pytest.mark.parametrize("provider", TIMED)
def test_the_time_is_bounded_both_ways(provider: str) -> None:
    """Five minutes behind and ahead; a second more is refused, although the signature is right."""
    for late in (-TOLERANCE, TOLERANCE):
        assert not refused(verify(provider, good(provider, late=late)), provider)
        beyond = late + timedelta(seconds=1 if late > timedelta() else -1)
        assert refused(verify(provider, good(provider, late=beyond)), provider)


def test_kredit_signs_in_base64_or_hex() -> None:
    """Both encodings of the same signature; milliseconds are not taken for seconds."""
    assert verify("kredit", kredit_in_hex(SECRETS["kredit"], BODY, NOW.timestamp())) == ""
    assert verify("kredit", kredit_in_hex(SECRETS["kredit"], BODY, NOW.timestamp() / 1_000)) != ""


def test_caas_refuses_what_has_expired() -> None:
    """`expiresAt` past, right signature or not; a moment without an offset is UTC."""
    for moment, taken in (
        ("2026-11-21T12:00:01Z", True),
        ("2026-11-21T12:00:00Z", False),
        ("2026-11-21T11:59:59", False),
        ("2026-11-21T13:59:59+02:00", False),
    ):
        body = f'{{"eventId":"e","expiresAt":"{moment}"}}'.encode()
        assert isinstance(verify("caas", good("caas", body), body), Untrusted) != taken
    bad = b'{"eventId":"e","expiresAt":"tomorrow"}'
    verdict = verify("caas", good("caas", bad), bad)
    assert isinstance(verdict, Untrusted)
    assert verdict.status == 400


def test_one_of_several_signatures_is_enough() -> None:
    """Stripe and Standard Webhooks sign with both secrets of a rotation."""
    both = good("stripe")["Stripe-Signature"]
    stamp, first = both.split(",")
    assert verify("stripe", {"Stripe-Signature": f"{stamp},v0=00,v1={'0' * 64},{first}"}) == ""
    headers = good("standard")
    headers["webhook-signature"] = f"v1,AAAA v2,x {headers['webhook-signature']} v1a,x"
    assert verify("standard", headers) == "msg_1"
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    assert refused(verify("standard", headers), "standard")


def test_secrets_are_checked_and_made() -> None:
    """Each provider's own secret is accepted, another's form is not; only some are made here."""
    for provider, secret in SECRETS.items():
        ADAPTERS[provider].scheme.check(secret)
    for provider, bad in (
        ("stripe", "sk_live_0123456789abcdef"),
        ("standard", "whsec_short"),
        ("standard", "0123456789abcdef0123456789abcdef"),
        ("wise", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"),
        ("kredit", "short"),
        ("buffr", "0123456789abcdef\n"),
    ):
        with pytest.raises(ValueError, match="`secret` must be") as raised:
            ADAPTERS[provider].scheme.check(bad)
        assert bad not in str(raised.value)
    for provider, adapter in ADAPTERS.items():
        if provider in ("stripe", "paystack", "wise", "trueidentity"):
            with pytest.raises(ValueError, match="makes its own"):
                new_secret(adapter.scheme)
        else:
            made = new_secret(adapter.scheme)
            adapter.scheme.check(made)
            assert made != new_secret(adapter.scheme)


def test_signatures_are_compared_in_constant_time() -> None:
    """No scheme compares a signature by `==`: HMACs by compare_digest, the rest by their libraries."""
    source = inspect.getsource(signatures)
    assert "hmac.compare_digest" in source
    assert "== signature" not in source
    assert "signature ==" not in source


def test_every_provider_has_a_sender() -> None:
    """No scheme is without a test."""
    assert set(SIGN) == set(ADAPTERS)
