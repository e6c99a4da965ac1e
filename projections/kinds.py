"""Every kind of job, once, with the function that does its work (see `jobs.Task`)."""

from __future__ import annotations

from projections.jobs import Run

KINDS: dict[str, Run] = {}
