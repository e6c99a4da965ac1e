"""From a path to what answers it.

A tree of the paths' segments: a list of patterns would be tried one after another for every request, and the
busiest path stands in the middle of a long table.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("literals", "name", "parameter", "rest", "target")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.name = ""  # of the parameter
        self.rest = False  # whether the parameter takes all that is left
        self.parameter: _Node[T] | None = None
        self.target: T | None = None


class Routes(Generic[T]):
    """Paths such as `/v1/ledgers/{ledger}`; a parameter is a whole segment and is not empty.

    The last one may be `{name:path}`: all the segments that are left.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, path: str, target: T) -> None:
        """What answers a path; parameters in the same place have the same name."""
        node = self._root
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                name, _, rest = segment[1:-1].partition(":")
                assert node.name in ("", name)
                node.name, node.rest = name, rest == "path"
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.target = target

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """What answers a path, and its parameters. Where a literal and a parameter fit, it is the literal."""
        parameters: dict[str, str] = {}
        target = _find(self._root, path.split("/"), 1, parameters)
        return None if target is None else (target, parameters)


def _find(node: _Node[T], segments: list[str], index: int, parameters: dict[str, str]) -> T | None:
    while index < len(segments):
        segment = segments[index]
        index += 1
        literal = node.literals.get(segment)
        if literal is not None and node.parameter is not None:
            tried = parameters.copy()
            found = _find(literal, segments, index, tried)
            if found is not None:
                parameters.update(tried)
                return found
            literal = None
        if literal is None:
            if node.parameter is None or not segment:
                return None
            if node.rest:
                parameters[node.name] = "/".join(segments[index - 1 :])
                return node.parameter.target
            parameters[node.name] = segment
            literal = node.parameter
        node = literal
    return node.target
