"""Attacks on where webhooks may go: URLs, addresses, names, redirects, proxies, and a name that changes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from projections.deliveries import addresses
from projections.deliveries.addresses import AddressRefused, parse, public
from projections.deliveries.sending import Sender
from tests.receiver import receiver, says

BODY = b'{"seq":1}'

INSIDE = """
    0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.1.2.3 240.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::ffff:8.8.8.8 ::ffff:127.0.0.1
    ::8.8.8.8 ::7f00:1 64:ff9b::808:808 64:ff9b::7f00:1 64:ff9b:1::a00:1 100::1 2001::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1
    2620:4f:8000::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 2606:4700::1111%1
    fec0::1 ff02::1 2606:4700::5efe:a00:1 2606:4700::200:5efe:a00:1 localhost 8.8.8 0177.0.0.1 2130706433
"""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "http://example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "HTTPS//example.com",
        "https:///hook",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com#@10.0.0.1/",
        "https://example.com\\@10.0.0.1/",
        "https://example.com/a b",
        "https://example.com/\r\nx: y",
        "https://example.com/\0",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://-example.com/",
        "https://exa mple.com/",
        "https://ex%61mple.com/",
        "https://b\u00fccher.example/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[example.com]/",
        "https://[::1/",
        "https://example.com/" + "a" * 2_000,
    ],
)
def test_urls_that_cannot_be_subscribed(url: str) -> None:
    """Anything but plain https to a host with a path is refused before a name is looked up."""
    with pytest.raises(AddressRefused):
        parse(url)


def test_urls_that_can_be() -> None:
    """A host, a port, a path with a query; without a path it is the root."""
    assert parse("https://hooks.example.com:8443/a/b?c=d&e=%20") == (
        "https",
        "hooks.example.com",
        8443,
        "/a/b?c=d&e=%20",
    )
    assert parse("https://[2606:4700::1111]") == ("https", "2606:4700::1111", 443, "/")
    assert parse("http://localhost/", insecure=True) == ("http", "localhost", 80, "/")


@pytest.mark.parametrize("address", INSIDE.split())
def test_addresses_inside_are_refused(address: str) -> None:
    """Private, loopback, link-local, metadata, shared, multicast, reserved, and IPv4 in IPv6's clothes."""
    assert not public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00::1"])
def test_addresses_outside_are_allowed(address: str) -> None:
    """The internet."""
    assert public(address)


@given(st.ip_addresses() | st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=4))
def test_what_is_allowed_is_global_to_python_too(address: object) -> None:
    """The standard library, which has tables of its own, calls no address that is allowed a special one."""
    if public(str(address)):
        other = ip_address(str(address))
        assert other.is_global
        assert not other.is_multicast
        assert not other.is_reserved


# ---------------------------------------------------------------- names


class ResolverDouble:
    """Stands in for the system's resolver: a name server in the hands of an attacker."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["fd00:ec2::254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        [],
    ],
)
def test_a_name_with_an_address_inside_is_refused(answer: list[str]) -> None:
    """One bad address among several is enough, and nothing is connected to."""
    with receiver() as endpoint:
        sender = Sender(resolve=ResolverDouble(answer))
        said = sender.send(f"https://rebind.example:{endpoint.port}/", {}, BODY)
        assert said.status is None
        assert (said.error or "").startswith("refused:")
        assert endpoint.received == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001"]
)
def test_spellings_of_the_loopback_are_refused(host: str) -> None:
    """Names and numbers that the system's own resolver turns into 127.0.0.1."""
    with receiver() as endpoint:
        said = Sender().send(f"https://{host}:{endpoint.port}/", {}, BODY)
        assert said.status is None
        assert (said.error or "").startswith(("refused:", "the name cannot be resolved"))
        assert endpoint.received == []


def test_a_name_server_that_is_silent_costs_one_deadline() -> None:
    """The look-up is part of the attempt."""

    def silent(host: str, port: int) -> Sequence[str]:
        time.sleep(3)
        return ["8.8.8.8"]

    began = time.monotonic()
    said = Sender(resolve=silent, deadline=0.3).send("https://silent.example/", {}, BODY)
    assert (said.status, said.error) == (None, "timed out")
    assert time.monotonic() - began < 2


# ---------------------------------------------------------------- TLS, rebinding


def tls_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for a name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = folder / f"{name}.pem"
    chain.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cafile=str(chain))
    return server, client


def treat_as_public(monkeypatch: pytest.MonkeyPatch, *allowed: str) -> None:
    """No test reaches the internet: these loopback addresses stand for public ones, and no others."""
    monkeypatch.setattr(addresses, "public", lambda address: address in allowed)


def test_the_address_that_was_checked_is_the_one_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name has a public address when it is checked and a private one ever after: it is asked once."""
    server, trust = tls_for("hooks.example", tmp_path)
    treat_as_public(monkeypatch, "127.0.0.2")
    with (
        receiver(host="127.0.0.2", tls=server) as endpoint,
        receiver(host="127.0.0.1", port=endpoint.port, tls=server) as inside,
    ):
        changing = ResolverDouble(["127.0.0.2"], ["127.0.0.1"])
        sender = Sender(resolve=changing, trust=trust)
        url = f"https://hooks.example:{endpoint.port}/hook"
        first = sender.send(url, {}, BODY)
        assert (first.status, first.error, changing.asked) == (204, None, 1)
        second = sender.send(url, {}, BODY)
        assert (second.status, changing.asked) == (None, 2)
        assert (second.error or "").startswith("refused:")
        assert len(endpoint.received) == 1
        assert endpoint.received[0].headers["host"] == f"hooks.example:{endpoint.port}"
        assert inside.received == []


@pytest.mark.parametrize("trusted", [True, False])
def test_the_certificate_must_be_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """One for another name, or one that nobody vouches for, ends the attempt before anything is said."""
    server, trust = tls_for("other.example" if trusted else "hooks.example", tmp_path)
    treat_as_public(monkeypatch, "127.0.0.2")
    with receiver(host="127.0.0.2", tls=server) as endpoint:
        sender = Sender(resolve=ResolverDouble(["127.0.0.2"]), trust=trust if trusted else None)
        said = sender.send(f"https://hooks.example:{endpoint.port}/", {}, BODY)
        assert (said.status, endpoint.received) == (None, [])
        assert (said.error or "").startswith("the TLS handshake failed")


def test_the_next_address_is_tried_when_one_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several checked addresses, each is tried in turn."""
    server, trust = tls_for("hooks.example", tmp_path)
    treat_as_public(monkeypatch, "127.0.0.3", "127.0.0.2")
    with receiver(host="127.0.0.2", tls=server) as endpoint:
        sender = Sender(resolve=ResolverDouble(["127.0.0.3", "127.0.0.2"]), trust=trust)
        assert sender.send(f"https://hooks.example:{endpoint.port}/", {}, BODY).status == 204


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data", "http://127.0.0.1:{port}/", "/"]
)
def test_redirects_inside_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """The redirect is the answer; what it points to sees nothing."""
    server, trust = tls_for("hooks.example", tmp_path)
    treat_as_public(monkeypatch, "127.0.0.2")
    with receiver(host="127.0.0.2", tls=server) as endpoint, receiver() as inside:
        endpoint.behaviour = says(302, location=location.format(port=inside.port))
        sender = Sender(resolve=ResolverDouble(["127.0.0.2"]), trust=trust)
        assert sender.send(f"https://hooks.example:{endpoint.port}/", {}, BODY).status == 302
        assert (len(endpoint.received), inside.received) == (1, [])


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to whatever it resolves the name to."""
    with receiver() as endpoint, receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert Sender(insecure=True).send(endpoint.url, {}, BODY).status == 204
        assert (len(endpoint.received), len(proxy.received)) == (1, 0)
