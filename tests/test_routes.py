"""Finding what answers a path: the same answer as trying every pattern in turn, literals first."""

from __future__ import annotations

import re

import pytest

from api.operations import OPERATIONS
from api.routes import Routes

PATHS = sorted({operation.path for operation in OPERATIONS})
VALUES = ("main", "customers:42", "7", "batch", "transactions", "v1", "")


def routes(*paths: str) -> Routes[str]:
    made: Routes[str] = Routes()
    for path in paths:
        made.add(path, path)
    return made


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("path", PATHS)
def test_every_operation_is_found_with_its_parameters(path: str, value: str) -> None:
    """Whatever stands in the parameters, the pattern that fits is found; an empty one fits none."""
    asked = re.sub(r"\{\w+\}", value, path)
    patterns = {p: re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", p) + r"\Z") for p in PATHS}
    fitting = {p: match.groupdict() for p, pattern in patterns.items() if (match := pattern.match(asked))}
    found = routes(*PATHS).find(asked)
    if not fitting:
        assert found is None
        return
    literal_first = min(fitting, key=lambda p: [segment.startswith("{") for segment in p.split("/")])
    assert found == (literal_first, fitting[literal_first])


def test_a_literal_that_leads_nowhere_is_taken_for_a_parameter() -> None:
    """`/a/b` ends at the literal; `/a/b/c` goes on from the parameter, without what was tried in between."""
    made = routes("/a/b", "/a/b/{x}/d", "/a/{y}/c", "/a/{y}/{z}/e")
    assert made.find("/a/b") == ("/a/b", {})
    assert made.find("/a/b/c") == ("/a/{y}/c", {"y": "b"})
    assert made.find("/a/b/c/d") == ("/a/b/{x}/d", {"x": "c"})
    assert made.find("/a/b/c/e") == ("/a/{y}/{z}/e", {"y": "b", "z": "c"})


@pytest.mark.parametrize("path", ["", "/", "a", "/a/", "//a", "/a/b/c", "*"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    """Neither a part of a path, nor more than one, nor nothing at all."""
    assert routes("/a", "/a/b").find(path) is None
