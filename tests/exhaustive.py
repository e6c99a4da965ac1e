"""Whether to try everything: every order, every place where a process can end; minutes instead of seconds."""

from __future__ import annotations

import os

EXHAUSTIVE = bool(os.environ.get("DAYBOOK_TEST_EXHAUSTIVE"))
