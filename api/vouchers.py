"""Programmes and vouchers over HTTP.

A voucher's code is made here, from the key outside the database, and shown in the answer; the ledger is told
its hash alone. The same request, asked again, is answered with the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from msgspec import Meta, Struct, structs

from api.access.approvals import ApprovalView
from api.handlers import LARGE_BODY, Call, Reply, carry_out, wait, without_approval
from api.http import decode_body
from api.own_keys import to_ask_again
from api.problems import Problem, of_rejection
from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.vault import VaultError
from ledger.views import EntryView
from ledger.voucher_reads import code_hash
from ledger.vouchers import commands as v
from ledger.vouchers.codes import PURPOSE, code_of, hash_of

MAX_BATCH = 5_000

Code = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="Case, hyphens and blanks do not count; O is 0, I and L are 1.",
        examples=["7Q2M-0X4K-9TRB-C1ZE"],
    ),
]


class NewVouchers(Struct, forbid_unknown_fields=True):
    """Vouchers to issue, each on its own."""

    vouchers: Annotated[list[v.NewVoucher], Meta(min_length=1, max_length=MAX_BATCH)]


class PayoutByCode(v.Payout, forbid_unknown_fields=True, kw_only=True):
    """A payout for a code that the beneficiary showed."""

    code: Code


class PayoutOfVoucher(v.Payout, forbid_unknown_fields=True, kw_only=True):
    """A payout of a voucher; with `code`, only if it is the voucher's."""

    code: Code | None = None


class IssuedVoucher(Struct, frozen=True):
    """A voucher with its code, which is nowhere stored, and the entry that it is in the ledger."""

    voucher: str
    code: str
    entry: EntryView


class VoucherCode(Struct, frozen=True):
    """A voucher's code."""

    voucher: str
    code: str


class IssueResult(Struct, frozen=True, omit_defaults=True):
    """What became of one voucher of a batch, with the status of it alone: its code and seq, or a problem.

    202: it waits for a second person's approval; its code is good once it is issued.
    """

    status: int
    voucher: str
    code: str = ""
    seq: int | None = None
    approval: ApprovalView | None = None
    problem: Problem | None = None
    replayed: bool = False


class IssueResults(Struct, frozen=True):
    """One result for each voucher, in order."""

    results: list[IssueResult]


async def _body(call: Call) -> Any:
    raw = await call.exchange.body()
    return decode_body(call.operation.decoder, raw or call.operation.empty_body)


def _key(call: Call, ledger: str) -> tuple[bytes, str]:
    """What codes are made with (VaultError)."""
    return call.bridge.webhooks.vault.derive(PURPOSE), call.whole_name(ledger)


async def _submit(
    call: Call, body: c.Body, subject: str, shape: Callable[[EntryView], Any] | None = None
) -> Reply:
    asked = c.command(
        body,
        subject,
        key=call.exchange.key(),
        actor=call.principal.actor,
        request_id=call.exchange.asked_id,
    )
    return await carry_out(call, call.path, asked, shape)


async def issue(call: Call) -> Reply:
    """A voucher, with its code."""
    body: v.NewVoucher = await _body(call)
    code = code_of(*_key(call, call.path["ledger"]), body.voucher)
    return await _submit(call, issuing(body, code), "", partial(IssuedVoucher, body.voucher, code))


async def reissue(call: Call) -> Reply:
    """A voucher in the place of another, with its code."""
    body: v.Replacement = await _body(call)
    code = code_of(*_key(call, call.path["ledger"]), body.replacement)
    command = v.Reissue(**structs.asdict(body), code_hash=hash_of(code))
    return await _submit(call, command, call.path["voucher"], partial(IssuedVoucher, body.replacement, code))


async def redeem(call: Call) -> Reply:
    """A voucher paid out, named by its code or in the path."""
    body: PayoutByCode | PayoutOfVoucher = await _body(call)
    said = structs.asdict(body)
    code = said.pop("code")
    redemption = v.Redemption(**said, code_hash=None if code is None else hash_of(code))
    return await _submit(call, redemption, call.path.get("voucher", ""))


async def show_code(call: Call) -> Reply:
    """The code of a voucher, made again."""
    key, ledger, name = *_key(call, call.path["ledger"]), call.path["voucher"]
    known = await call.bridge.read(code_hash, call.reader, call.path["ledger"], name)
    code = code_of(key, ledger, name)
    if hash_of(code) != known:
        raise VaultError(f"the code of voucher {name} was made with another key")
    return Reply(call.operation.status, VoucherCode(name, code))


async def issue_many(call: Call) -> Reply:
    """Vouchers, each on its own. Its name is its key, so that a batch is safe to send again."""
    raw = await call.exchange.body()
    ledger, principal = call.path["ledger"], call.principal
    key, name = _key(call, ledger)
    request_id = call.exchange.asked_id

    def asked() -> tuple[list[str], list[c.Command]]:
        body: NewVouchers = decode_body(call.operation.decoder, raw)
        codes = [code_of(key, name, one.voucher) for one in body.vouchers]
        return codes, [
            bulk_issue(one, code, actor=principal.actor, request_id=request_id)
            for one, code in zip(body.vouchers, codes, strict=True)
        ]

    codes, commands = await to_thread.run_sync(asked) if len(raw) >= LARGE_BODY else asked()
    outcomes = await _outcomes(call, ledger, commands)
    results = [
        _result(command.body.voucher, code, outcome)  # type: ignore[union-attr]
        for command, code, outcome in zip(commands, codes, outcomes, strict=True)
    ]
    asking = without_approval(commands, outcomes)
    if asking:
        for index, waiting in zip(asking, await wait(call, ledger, list(asking.values())), strict=True):
            results[index] = IssueResult(202, results[index].voucher, codes[index], approval=waiting)
    return Reply(call.operation.status, IssueResults(results))


async def _outcomes(call: Call, ledger: str, commands: list[c.Command]) -> list[Outcome]:
    """What becomes of the commands now; each keeps the key that it was decided under."""
    outcomes = list(await call.submit(ledger, Request(commands)))
    while again := to_ask_again(commands, outcomes):
        answers = await call.submit(ledger, Request(list(again.values())))
        for (index, command), outcome in zip(again.items(), answers, strict=True):
            commands[index], outcomes[index] = command, outcome
    return outcomes


def issuing(body: v.NewVoucher, code: str) -> v.Issue:
    """The command for a new voucher with this code."""
    return v.Issue(**structs.asdict(body), code_hash=hash_of(code))


def bulk_issue(body: v.NewVoucher, code: str, *, actor: str, request_id: str = "") -> c.Command:
    """The command for one of many: the key is the voucher's own, however often and wherefrom it is asked."""
    return c.command(issuing(body, code), key=f"issue:{body.voucher}", actor=actor, request_id=request_id)


def _result(voucher: str, code: str, outcome: Outcome) -> IssueResult:
    match outcome:
        case Refusal(rejection, replayed):
            problem = of_rejection(rejection)
            return IssueResult(problem.status, voucher, problem=problem, replayed=replayed)
        case Replayed(seq):
            return IssueResult(201, voucher, code, seq, replayed=True)
        case Recorded(event):
            return IssueResult(201, voucher, code, event.seq)
    raise AssertionError(outcome)
