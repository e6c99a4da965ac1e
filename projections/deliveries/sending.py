"""One attempt: a POST to an address that was checked, with an end in time and in bytes.

Every attempt has a connection of its own, so that what was checked is what is connected to. httpcore speaks
HTTP and TLS (the certificate must be the URL's host's); it follows no redirect and knows no proxy. The
deadline is the attempt's: each read and write gets what is left of it, so that an endpoint which sends a byte
now and then gains nothing.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, NamedTuple

import httpcore

from projections.deliveries.addresses import AddressRefused, Resolve, Target, checked, parse, resolve

DEADLINE_SECONDS = 15.0
MAX_ANSWER_BYTES = 65_536
WRITE_BYTES = 16_384


class Answer(NamedTuple):
    """What became of an attempt: a status, or an error in a few words of ours."""

    status: int | None
    error: str | None
    retry_after: str | None
    latency_ms: int

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took the message: any 2xx. A redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to one URL after another. Threads may share it."""

    def __init__(
        self,
        *,
        insecure: bool = False,
        deadline: float = DEADLINE_SECONDS,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`insecure`: http and private addresses are allowed (development). `trust`: instead of certifi's."""
        self.insecure = insecure
        self._deadline = deadline
        self._resolve = resolve
        self._given = trust

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return self._given or httpcore.default_ssl_context()  # which takes its time

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """POST; whatever happens is an Answer."""
        began = time.monotonic()
        status, error, retry_after = None, None, None
        try:
            target = parse(url, insecure=self.insecure)
            status, retry_after = self._post(target, headers, body, began + self._deadline)
        except AddressRefused as refused:
            error = f"refused: {refused}"
        except (httpcore.TimeoutException, TimeoutError):
            error = "timed out"
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as failed:
            error = _words(failed)
        return Answer(status, error, retry_after, round((time.monotonic() - began) * 1_000))

    def _post(
        self, target: Target, headers: dict[str, str], body: bytes, deadline: float
    ) -> tuple[int, str | None]:
        host = f"[{target.host}]" if ":" in target.host else target.host
        default = target.port == (443 if target.scheme == "https" else 80)
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.target.encode(),
        )
        sent = {
            "host": host if default else f"{host}:{target.port}",
            "user-agent": "Daybook",
            "accept": "*/*",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **headers,
        }
        network = _Checked(self._resolve, self.insecure, deadline)
        with (
            httpcore.HTTPConnection(
                url.origin, ssl_context=self._trust, network_backend=network
            ) as connection,
            connection.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            read = 0
            for chunk in response.iter_stream():
                read += len(chunk)
                if read > MAX_ANSWER_BYTES:
                    break  # the status is known; what else there is to say is not read
            named = {name.lower(): value for name, value in response.headers}
            retry_after = named.get(b"retry-after")
            return response.status, None if retry_after is None else retry_after.decode("latin-1")


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "the TLS handshake failed: " + (getattr(cause, "verify_message", "") or "no agreement")
        if isinstance(cause, socket.gaierror):
            return "the name cannot be resolved"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ConnectError | OSError):
        return "no connection"
    return "the connection broke" if isinstance(error, httpcore.NetworkError) else "the answer is not HTTP"


class _Checked(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to no other."""

    def __init__(self, resolve: Resolve, insecure: bool, deadline: float) -> None:
        self._resolve = resolve
        self._insecure = insecure
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = checked(host, port, self._resolved, insecure=self._insecure)
        for last, address in enumerate(addresses, start=1 - len(addresses)):
            try:
                stream = self._network.connect_tcp(address, port, _left(self._deadline))
                return _Timed(stream, self._deadline)
            except httpcore.ConnectError:
                if last == 0:
                    raise
        raise AssertionError("there is an address, or `checked` has raised")

    def _resolved(self, host: str, port: int) -> Sequence[str]:
        """The resolver's answer, if it comes in time: it cannot be interrupted, only left alone."""
        answer: Future[Sequence[str]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._resolve(host, port))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="daybook-resolver", daemon=True).start()
        return answer.result(_left(self._deadline))


class _Timed(httpcore.NetworkStream):
    """A connection that ends at the deadline, whatever it is doing."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            self._stream.write(buffer[start : start + WRITE_BYTES], _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Timed(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
