"""Proofs over HTTP: a stranger who has the answer and the public key can check it, and nobody can bend it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.operations import OPERATIONS
from ledger.merkle import leaf_hash
from ledger.notes import TreeHead, open_tree_head, verifier_key
from projections.proving import NotProven, check
from tests.conftest import NewDatabase
from tests.served import Book, Service, move, served

DOCUMENT = Path(__file__).parent.parent / "docs" / "proofs.md"
EVENTS = 300


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    """A ledger of so many events, more than one tile."""
    book = service.open()
    moves = [move("cash", "customers:1", 1, metadata={"é": "ü"}) for _ in range(EVENTS - 1)]
    answer = book.call("POST", "/transactions/batch", {"transactions": moves})
    assert answer.status_code == 200
    assert book.head() == EVENTS
    return book


def key_of(service: Service) -> str:
    return str(service.get("/v1/verifier-key")["verifier_key"])


def refused(book: Book, path: str, code: str, field: str | None = None) -> None:
    problem = book.call("GET", path).json()
    assert (problem["code"], problem.get("field")) == (code, field), problem


def test_the_tree_head_is_signed_and_is_that_of_the_ledger(book: Book) -> None:
    """JSON and note say the same, which is what the ledger says of itself."""
    answer, ledger = book.get("/tree-head"), book.get("")
    head = open_tree_head(answer["note"], [verifier_key(key_of(book.service))])
    assert head == TreeHead(ledger["id"], 1, EVENTS, bytes.fromhex(ledger["root"]))
    assert answer["origin"] == f"daybook/{ledger['id']}/1" == answer["note"].split("\n")[0]
    assert (answer["size"], answer["root"], answer["incarnation"]) == (EVENTS, ledger["root"], 1)
    checkpoint = book.call("GET", "/tlog/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "no-cache"
    assert open_tree_head(checkpoint.content, [verifier_key(key_of(book.service))]) == head


def test_every_event_can_be_proven_at_every_size(book: Book) -> None:
    """Events at the beginning, the tiles' edges and the end, in the tree of now and of then."""
    keys = [verifier_key(key_of(book.service))]
    for size in (None, 1, 255, 256, 257, EVENTS - 1):
        for seq in {1, 2, 256, 257, EVENTS - 1, EVENTS}:
            if seq <= (size or EVENTS):
                query = {} if size is None else {"size": size}
                answer = book.call("GET", f"/events/{seq}/proof", params=query)
                said = check(answer.content, keys)
                assert f"Event {seq} is in ledger" in said
                assert f"size {size or EVENTS}," in said
                assert answer.json()["body"]["seq"] == seq


def test_the_ledger_is_proven_to_have_only_grown(book: Book) -> None:
    """From every size to every later one, beginning at the tree head that was kept."""
    keys = [verifier_key(key_of(book.service))]
    kept = {
        size: open_tree_head(book.get("/events/1/proof", size=size)["tree_head"]["note"], keys)
        for size in (1, 200, 256, 299)
    }
    for size, head in kept.items():
        for later in (None, 299, 300):
            query = {"from": size} if later is None else {"from": size, "to": later}
            answer = book.call("GET", "/consistency", params=query).content
            assert f"The first {size} events" in check(answer, keys, head)
            with pytest.raises(NotProven, match="does not begin at"):
                check(answer, keys, head._replace(root=bytes(32)))
    assert book.get("/consistency", **{"from": 0})["first_root"] == sha256(b"").hexdigest()


def test_what_cannot_be_proven_is_refused(book: Book) -> None:
    """Seqs and sizes that are not there yet, trees that end too early, and nonsense: each by its name."""
    refused(book, f"/events/{EVENTS + 1}/proof", "event_not_found")
    refused(book, f"/events/1/proof?size={EVENTS + 1}", "size_not_reached", "size")
    refused(book, f"/consistency?from={EVENTS + 1}", "size_not_reached", "size")
    refused(book, f"/consistency?from=1&to={EVENTS + 1}", "size_not_reached", "size")
    refused(book, "/events/9/proof?size=8", "invalid_request", "size")
    refused(book, "/events/9/proof?size=0", "invalid_request", "size")
    refused(book, "/events/x/proof", "invalid_request", "seq")
    refused(book, "/consistency?from=9&to=8", "invalid_request", "from")
    refused(book, "/consistency", "invalid_request", "from")


def test_what_is_known_of_another_incarnation_is_refused(book: Book) -> None:
    """A reader that names the life it knows is told when that has ended; pages and tree heads name it."""
    assert book.get("/events", limit=1)["incarnation"] == 1
    for path in ("/events?", "/tree-head?", "/events/1/proof?", "/consistency?from=1&"):
        assert book.call("GET", f"{path}incarnation=1").status_code == 200
        problem = book.call("GET", f"{path}incarnation=2").json()
        assert (problem["code"], problem["status"]) == ("incarnation_ended", 409)
        assert problem["evidence"] == {"asked": 2, "incarnation": 1}
        refused(book, f"{path}incarnation=0", "invalid_request", "incarnation")


def test_whatever_waits_for_a_seq_can_say_of_which_incarnation(book: Book) -> None:
    """A seq means something only within a life of the ledger: `min_seq` and `incarnation` go together."""
    waiting = [o for o in OPERATIONS if "min_seq" in o.query.__struct_fields__ and "{ledger}" in o.path]
    assert len(waiting) > 5
    assert [o.id for o in waiting if "incarnation" not in o.query.__struct_fields__] == []
    path = "/accounts/customers:1/balances?min_seq=2&incarnation="
    assert book.call("GET", f"{path}1").status_code == 200
    refused(book, f"{path}2", "incarnation_ended")


# ---------------------------------------------------------------- tiles


def test_the_root_follows_from_the_tiles_alone(book: Book) -> None:
    """Whoever fetches entries and tiles as C2SP has them comes to the signed root."""
    size, root = open_tree_head(
        book.call("GET", "/tlog/checkpoint").content, [verifier_key(key_of(book.service))]
    )[2:]
    assert size == EVENTS
    leaves = []
    for place, width in (("000", 256), ("001.p/44", 44)):
        bundle = book.call("GET", f"/tlog/tile/entries/{place}")
        assert bundle.headers["content-type"] == "application/octet-stream"
        hashes, rest = b"", bundle.content
        while rest:
            length = int.from_bytes(rest[:2], "big")
            hashes += leaf_hash(rest[2 : 2 + length])
            rest = rest[2 + length :]
        tile = book.call("GET", f"/tlog/tile/0/{place}").content
        assert tile == hashes
        assert len(tile) == width * 32
        leaves += [tile[i : i + 32] for i in range(0, len(tile), 32)]

    def node(begin: int, end: int) -> bytes:
        if end - begin == 1:
            return leaves[begin]
        middle = begin + 2 ** ((end - begin - 1).bit_length() - 1)
        return sha256(b"\x01" + node(begin, middle) + node(middle, end)).digest()

    assert node(0, EVENTS) == root
    assert book.call("GET", "/tlog/tile/1/000.p/1").content == node(0, 256)
    assert book.call("GET", "/tlog/tile/0/000.p/9").content == b"".join(leaves[:9])


def test_tiles_that_no_tree_has(book: Book) -> None:
    """Tiles and widths beyond the head are not there; what is no address of a tile is malformed."""
    for path in ("0/001", "0/001.p/45", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1", "63/000.p/1"):
        refused(book, f"/tlog/tile/{path}", "not_found")
    for path in ("entries/001", "entries/002.p/1"):
        refused(book, f"/tlog/tile/{path}", "not_found")
    for path in ("0/1", "0/0001", "0/x000/001", "0/000.p/0", "0/000.p/256", "0/000.p/01", "entries/000.p/"):
        refused(book, f"/tlog/tile/{path}", "invalid_request", "tile")
    for path in ("64/000", "00/000", "-1/000", "x/000"):
        refused(book, f"/tlog/tile/{path}", "invalid_request", "level")


# ---------------------------------------------------------------- strangers


def changed(document: dict[str, Any], path: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document))
    *place, last = path.split(".")
    inner = made
    for name in place:
        inner = inner[name]
    inner[last] = change(inner[last])
    return made


CHANGES: list[tuple[str, Callable[[Any], Any]]] = [
    ("body", lambda body: {**body, "recorded_at": "2020-01-01T00:00:00.000000Z"}),
    ("body", lambda body: {**body, "seq": body["seq"] + 1}),
    ("body.ledger", lambda _: "7a1e2f3c-0000-4000-8000-000000000001"),
    ("path", lambda path: path[:-1]),
    ("path", lambda path: [*path, path[0]]),
    ("path", lambda path: ["00" * 32, *path[1:]]),
    ("tree_head.note", lambda note: note.replace("\n300\n", "\n299\n")),
    ("tree_head.note", lambda note: re.sub(r"\n300\n.{4}", "\n300\nAAAA", note)),
    ("tree_head.note", lambda note: note.replace("/1\n", "/2\n", 1)),
]
STRICTER: list[tuple[str, Callable[[Any], Any]]] = [
    ("seq", lambda seq: seq + 1),
    ("leaf", lambda _: "00" * 32),
    ("leaf", lambda _: "no hex"),
    ("proof", lambda _: "consistency"),
    ("tree_head.size", lambda size: size - 1),
    ("tree_head.root", lambda _: "00" * 32),
    ("tree_head.origin", lambda origin: origin + "1"),
    ("path", lambda path: [*path[:-1], "no hex"]),
    ("body", lambda _: [1, 2]),
]


def test_a_bent_answer_proves_nothing(book: Book) -> None:
    """Whatever is changed in it, and with another key."""
    keys = [verifier_key(key_of(book.service))]
    good = json.loads(book.call("GET", "/events/77/proof").content)
    check(json.dumps(good, indent=3).encode(), keys)
    for path, change in CHANGES + STRICTER:
        with pytest.raises(NotProven):
            check(json.dumps(changed(good, path, change)).encode(), keys)
    for junk in (b"", b"{}", b"[]", b"\xff", b"null", b"[" * 100_000):
        with pytest.raises(NotProven):
            check(junk, keys)
    other = verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    with pytest.raises(NotProven, match="none of these keys"):
        check(json.dumps(good).encode(), [other])
    grown = json.loads(book.call("GET", "/consistency?from=77").content)
    check(json.dumps(grown).encode(), keys)
    for path, change in (
        ("first_size", lambda size: size + 1),
        ("first_root", lambda _: "00" * 32),
        ("path", lambda path: path[1:]),
        ("tree_head.note", lambda note: note.replace("\n300\n", "\n299\n")),
    ):
        with pytest.raises(NotProven):
            check(json.dumps(changed(grown, path, change)).encode(), keys)


def test_the_documents_own_program_checks_a_proof(book: Book, tmp_path: Path) -> None:
    """What docs/proofs.md tells a stranger to run accepts a good answer and no bent one."""
    [program] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    script, file = tmp_path / "verify.py", tmp_path / "proof.json"
    script.write_text(program)
    good = json.loads(book.call("GET", "/events/77/proof").content)

    def run(document: Any) -> subprocess.CompletedProcess[str]:
        file.write_text(json.dumps(document))
        command = [sys.executable, str(script), key_of(book.service), str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    done = run(good)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Event 77 is among the 300 events of {good['tree_head']['origin']}.\n"
    for path, change in CHANGES[::3]:
        assert run(changed(good, path, change)).returncode != 0


def test_the_verifier_key_is_of_the_published_form(book: Book) -> None:
    """name+id+base64 of 0x01 and 32 bytes, and the id is that of the two."""
    answer = book.service.get("/v1/verifier-key")
    name, id, key = answer["verifier_key"].split("+", 2)
    raw = base64.b64decode(key)
    assert (name, answer["algorithm"], raw[:1], len(raw)) == (answer["name"], "Ed25519", b"\x01", 33)
    assert sha256(f"{name}\n".encode() + raw).hexdigest()[:8] == id
