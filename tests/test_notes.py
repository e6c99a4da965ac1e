"""Signed notes against the published examples of Go's note package, and whatever is not a note."""

from __future__ import annotations

from base64 import b64encode
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.notes import (
    NoteError,
    TreeHead,
    new_key,
    open_note,
    open_tree_head,
    signing_key,
    tree_head,
    verifier_key,
)

# From the tests of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_SIGNED = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_SIGNED = (
    "— EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
LEDGER = "2f0c8b52-7f0e-4a5c-9c35-0a4f3a0f3c11"


def test_the_published_key_signs_the_published_note() -> None:
    """Ed25519 is deterministic: the same key and text give the published signature and public key."""
    key = signing_key(PETER_PRIVATE)
    assert key.sign(TEXT) == f"{TEXT}\n{PETER_SIGNED}"
    assert str(key.verifier) == PETER
    assert key.encode() == PETER_PRIVATE


def test_published_notes_are_opened() -> None:
    """One known signature is enough; those of other keys are passed over; no known one is an error."""
    peter, enoch = verifier_key(PETER), verifier_key(ENOCH)
    both = f"{TEXT}\n{PETER_SIGNED}{ENOCH_SIGNED}"
    for keys in ([peter], [enoch], [peter, enoch]):
        assert open_note(both, keys) == TEXT
    assert open_note(both.encode(), [peter]) == TEXT
    for note, keys in ((both, []), (f"{TEXT}\n{PETER_SIGNED}", [enoch])):
        with pytest.raises(NoteError, match="none of these keys"):
            open_note(note, keys)


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    """Even beside a good one of another key."""
    peter, enoch = verifier_key(PETER), verifier_key(ENOCH)
    wrong = signing_key(PETER_PRIVATE).sign("another text\n").partition("\n\n")[2]
    with pytest.raises(NoteError, match="not that of this text"):
        open_note(f"{TEXT}\n{wrong}{ENOCH_SIGNED}", [peter, enoch])
    assert open_note(f"{TEXT}\n{wrong}{ENOCH_SIGNED}", [enoch]) == TEXT
    with pytest.raises(NoteError, match="not that of this text"):
        open_note(f"{TEXT}\n{PETER_SIGNED[:60]}ABCD{PETER_SIGNED[60:]}", [peter])


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETER_SIGNED[:-1]}",
        f"\x01{TEXT}\n{PETER_SIGNED}",
        f"{TEXT}\r\n{PETER_SIGNED}",
        b"\xff" + f"{TEXT}\n{PETER_SIGNED}".encode(),
        f"{TEXT}\n{PETER_SIGNED.replace('PeterNeumann', 'Bad Name')}",
        f"{TEXT}\n{PETER_SIGNED.replace('PeterNeumann', 'Bad+Name')}",
        f"{TEXT}\n{PETER_SIGNED}Unexpected line.\n",
        f"{TEXT}\n{PETER_SIGNED.replace('—', '-')}",
        f"{TEXT}\n{PETER_SIGNED.replace('=', '')}",
        f"{TEXT}\n— PeterNeumann x08g\n",
        f"{TEXT}\n{PETER_SIGNED * 101}",
        f"{TEXT}\n{PETER_SIGNED}\n",
        f"{'x' * 1_000_000}\n\n{PETER_SIGNED}",
        "",
        "\n\n",
    ],
)
def test_what_is_not_a_note(note: str | bytes) -> None:
    """Each departure from the form is refused, also where the signature would be right."""
    with pytest.raises(NoteError):
        open_note(note, [verifier_key(PETER)])


def test_every_part_of_a_key_is_no_key() -> None:
    """No piece of a key, and no key with one character changed, is taken for one, public or private."""
    for key, parse in ((PETER, verifier_key), (PETER_PRIVATE, signing_key)):
        for begin, end in combinations(range(len(key) + 1), 2):
            if end - begin < len(key):
                with pytest.raises(NoteError):
                    parse(key[begin:end])
        for i, letter in enumerate(key):
            with pytest.raises(NoteError):
                parse(key[:i] + chr(ord(letter) + 1) + key[i + 1 :])


@pytest.mark.parametrize(
    "key",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_keys_of_another_length_or_algorithm(key: str) -> None:
    """Published keys whose id is right and whose bytes are no Ed25519 key."""
    with pytest.raises(NoteError):
        verifier_key(key)


def test_names_with_spaces_or_plus_are_refused() -> None:
    """They could not be told apart in the line."""
    for name in ("", "a b", "a+b", "a\tb", "a\u2003b"):
        with pytest.raises(NoteError, match="name"):
            new_key(name)


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])), st.text(alphabet="abc/.-", min_size=1)
)
def test_what_is_signed_is_what_is_opened(text: str, name: str) -> None:
    """Any text, empty lines in it too; any change of it is noticed."""
    key = new_key(name)
    text = f"{text}\n\n{text}\n"
    note = key.sign(text)
    assert open_note(note, [key.verifier]) == text
    assert str(verifier_key(str(key.verifier))) == str(key.verifier)
    with pytest.raises(NoteError):
        open_note(f"x{note}", [key.verifier])


# ---------------------------------------------------------------- tree heads


@given(st.uuids(), st.integers(1, 2**31 - 1), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_tree_head_comes_back(ledger: object, incarnation: int, size: int, root: bytes) -> None:
    """Origin, size and root, signed and opened."""
    head = TreeHead(str(ledger), incarnation, size, root)
    key = new_key("daybook/test")
    assert open_tree_head(key.sign(head.text), [key.verifier]) == head
    assert head.text == f"daybook/{ledger}/{incarnation}\n{size}\n{b64encode(root).decode()}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"daybook/{LEDGER}/1\n5\n",
        f"daybook/{LEDGER}/0\n5\n{'A' * 43}=\n",
        f"daybook/{LEDGER}/1\n05\n{'A' * 43}=\n",
        f"daybook/{LEDGER}/1\n-5\n{'A' * 43}=\n",
        f"daybook/{LEDGER}/1\n5\n{'A' * 42}B=\n",
        f"daybook/{LEDGER}/1\n5\n{'A' * 44}\n",
        f"daybook/{LEDGER}/1\n5\n{'A' * 43}=\nextension\n",
        f"daybook/{LEDGER}/1\n5\n{'A' * 43}=",
        f"daybook/{LEDGER.upper()}/1\n5\n{'A' * 43}=\n",
        f"daybook/{LEDGER}\n5\n{'A' * 43}=\n",
        f"example.com/{LEDGER}/1\n5\n{'A' * 43}=\n",
        f"daybook/{LEDGER}/1\n5\n{'A' * 43}=\n\n",
        f"daybook/{LEDGER}/\uff11\n5\n{'A' * 43}=\n",
    ],
)
def test_what_is_not_a_tree_head(text: str) -> None:
    """One way to write each tree head, and nothing beside it."""
    assert tree_head(f"daybook/{LEDGER}/1\n5\n{'A' * 43}=\n").size == 5
    with pytest.raises(NoteError):
        tree_head(text)
