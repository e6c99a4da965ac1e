"""PostgreSQL for the rest of the project: queries by name, migrations, the embedded server.

SQL lives in .sql files, where it can be read, formatted and tried in psql as it stands. A file of
queries is a series of blocks:

    -- name: head_for_update
    -- The head of a ledger, locked until the transaction ends.
    SELECT seq, root FROM daybook.heads WHERE ledger_id = %(ledger_id)s FOR UPDATE
"""

import re
from importlib.resources import files
from typing import LiteralString

_NAME = re.compile(r"^-- name: *(\w+) *\n", re.MULTILINE)
_DESCRIPTION = re.compile(r"\A(?:--.*\n)+")


def load(file_name: str) -> dict[str, LiteralString]:
    """The queries of a file in this package, by name, without their descriptions.

    The text comes from a file of ours and never from a request, so it is as trustworthy as a literal
    in the code, and is typed like one. Raises ValueError when a name stands twice, a block holds no
    query, or something other than a comment stands before the first block.
    """
    preamble, *blocks = _NAME.split(files(__name__).joinpath(file_name).read_text(encoding="utf-8"))
    if any(line and not line.startswith("--") for line in preamble.splitlines()):
        raise ValueError(f"{file_name}: SQL before the first '-- name:' line")
    queries: dict[str, LiteralString] = {}
    for name, block in zip(blocks[::2], blocks[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{file_name}: two queries are named {name}")
        query = _DESCRIPTION.sub("", block).strip()
        if not query:
            raise ValueError(f"{file_name}: {name} has no query")
        queries[name] = query
    return queries
