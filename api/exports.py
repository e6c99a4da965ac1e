"""Exports over the API: asked for as a job, and their files fetched one by one when it is done."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct, field

from api.handlers import Call, Reply
from api.http import decode_body
from api.problems import Refused, make
from projections import jobs
from projections.exports import job
from projections.exports.export import FORMATS, Asked, Format, Signed
from projections.exports.folder import MANIFEST


class ExportOrder(Struct, forbid_unknown_fields=True):
    """What to export. The events are whole, up to the present one.

    `from` and `to` bound the journals and the Audit Data Standards files: effective days of the ledger's time
    zone, both included; all days if absent.
    """

    formats: Annotated[list[Format], Meta(min_length=1)] = field(default_factory=lambda: list(FORMATS))
    first: Annotated[date, Meta(description="First effective day of the accounts.")] | None = field(
        name="from", default=None
    )
    last: Annotated[date, Meta(description="Last effective day of the accounts.")] | None = field(
        name="to", default=None
    )

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError("`from` is later than `to`")


async def order(call: Call) -> Reply:
    """Sign the ledger's head, and queue the job that exports it."""
    ledger, whole_name = call.path["ledger"], call.whole_name(call.path["ledger"])
    body: ExportOrder = decode_body(call.operation.decoder, await call.exchange.body() or b"{}")
    prover = call.bridge.prover
    head = await call.bridge.read(prover.tree_head, whole_name)
    signed = Signed(head.note, prover.verifier_key())
    folder = call.bridge.exports / f"{ledger}-{head.size}-{uuid4().hex[:12]}"
    asked = Asked(whole_name, frozenset(body.formats), body.first, body.last)
    queued = await call.bridge.engine.ask(job.KIND, job.parameters(asked, signed, folder))
    return Reply(call.operation.status, queued, ((b"location", f"/v1/jobs/{queued.id}".encode()),))


async def file(call: Call) -> None:
    """Send a file of a finished export; only what its manifest names is one (Refused)."""
    await call.bridge.read(call.reader.incarnation, call.path["ledger"])
    done = await call.bridge.engine.run(jobs.job, call.path["job"])
    if done.kind != job.KIND or done.parameters["ledger"] != call.whole_name(call.path["ledger"]):
        raise jobs.JobNotFound(done.id)
    path = await call.bridge.read(_file, done, call.path["file"])
    if path is None:
        raise Refused(make("not_found", "The export has no such file, or is not there (yet)."))
    await call.exchange.file(call.operation.status, path, call.operation.media)


def _file(done: jobs.Job, name: str) -> Path | None:
    folder = Path(done.parameters["folder"])
    manifest = folder / MANIFEST
    if done.state != "done" or not manifest.exists():
        return None
    if name != MANIFEST and all(
        name != entry["path"] for entry in msgspec.json.decode(manifest.read_bytes())["files"]
    ):
        return None
    return folder / name
