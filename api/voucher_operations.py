"""The operations on voucher programmes and vouchers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from api import beneficiaries, handlers, voucher_figures, vouchers
from api.operation import DATED, POSTING, Operation
from api.queries import Incarnation, Limit
from api.registry import Person
from ledger import voucher_reads as reads
from ledger.reader import Reader
from ledger.views import Acknowledged, EntryView
from ledger.vouchers import commands as v
from projections.trust import TrustReport
from projections.voucher_reads import VoucherLines

_LEDGER = "/v1/ledgers/{ledger}"
_PROGRAMMES = _LEDGER + "/programmes"
_PROGRAMME = _PROGRAMMES + "/{programme}"
_VOUCHERS = _LEDGER + "/vouchers"
_VOUCHER = _VOUCHERS + "/{voucher}"
_BENEFICIARY = _LEDGER + "/beneficiaries/{beneficiary}"
_ENTRY = _LEDGER + "/transactions/{seq}"

_MONEY = ("programme_not_found", *DATED, *POSTING)
_NEW = (
    "beneficiary_not_found",
    "voucher_exists",
    "voucher_code_taken",
    "expires_in_past",
    "secrets_unavailable",
)
_STATE = ("voucher_not_found", "voucher_not_open", *DATED, *POSTING)


class NamesQuery(Struct, forbid_unknown_fields=True):
    """A page by name."""

    after: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


def _programmes(reader: Reader, path: dict[str, Any], query: NamesQuery) -> reads.ProgrammesPage:
    return reads.programmes(reader, path["ledger"], query.after, query.limit)


def _programme(reader: Reader, path: dict[str, Any], query: Any) -> reads.ProgrammeFigures:
    return reads.programme(reader, path["ledger"], path["programme"])


def _voucher(reader: Reader, path: dict[str, Any], query: Any) -> reads.VoucherView:
    return reads.voucher(reader, path["ledger"], path["voucher"])


def _on_programme(
    path: str, id: str, summary: str, body: type, description: str = "", *codes: str
) -> Operation:
    return Operation(
        "POST",
        _PROGRAMME + path,
        id,
        summary,
        description=description,
        tag="Vouchers",
        scope="ledger:write",
        handler=handlers.command,
        body=body,
        answer=EntryView,
        status=201,
        codes=(*_MONEY, *codes),
        location=_ENTRY,
    )


def _on_voucher(
    path: str,
    id: str,
    summary: str,
    body: type,
    *codes: str,
    description: str = "",
    optional_body: bool = False,
    handler: handlers.Handler = handlers.command,
    answer: type = EntryView,
    location: str = _ENTRY,
) -> Operation:
    return Operation(
        "POST",
        _VOUCHER + path,
        id,
        summary,
        description=description,
        tag="Vouchers",
        scope="ledger:write",
        handler=handler,
        body=body,
        optional_body=optional_body,
        answer=answer,
        status=201,
        codes=(*_STATE, *codes),
        location=location,
    )


VOUCHER_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        _LEDGER + "/redemptions",
        "redeem_code",
        "Redeem a voucher by its code",
        description="All that remains, or an amount. However many try, no more than it promises is paid.",
        tag="Vouchers",
        scope="ledger:write",
        handler=vouchers.redeem,
        body=vouchers.PayoutByCode,
        answer=EntryView,
        status=201,
        codes=(*_STATE, "voucher_code_wrong", "exceeds_voucher"),
        location=_ENTRY,
    ),
    Operation(
        "POST",
        _VOUCHERS,
        "issue_voucher",
        "Issue a voucher",
        description="Its amount leaves the fund. The answer alone has the code, which is nowhere stored.",
        tag="Vouchers",
        scope="ledger:write",
        handler=vouchers.issue,
        body=v.NewVoucher,
        answer=vouchers.IssuedVoucher,
        status=201,
        codes=(*_MONEY, *_NEW),
        location=_VOUCHER,
    ),
    Operation(
        "POST",
        _LEDGER + "/voucher-batches",
        "issue_vouchers",
        "Issue many vouchers",
        description=(
            "One result for each, in order, with the status that it has alone. Its name is the voucher's "
            "idempotency key here: the same batch, sent again, answers the same and issues nothing twice."
        ),
        tag="Vouchers",
        scope="ledger:write",
        handler=vouchers.issue_many,
        body=vouchers.NewVouchers,
        answer=vouchers.IssueResults,
        keyed=False,
        codes=("secrets_unavailable", "clock_behind"),
    ),
    Operation(
        "GET",
        _VOUCHERS,
        "list_vouchers",
        "List vouchers by name",
        description="As far as the read model has come (`seq`).",
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(voucher_figures.vouchers),
        query=voucher_figures.VouchersQuery,
        answer=VoucherLines,
    ),
    Operation(
        "GET",
        _LEDGER + "/voucher-metrics",
        "get_voucher_metrics",
        "Figures of distribution, of Buffr's webhooks, of discrepancies",
        tag="Vouchers",
        scope="ledger:read",
        handler=voucher_figures.metrics,
        answer=voucher_figures.VoucherMetrics,
    ),
    Operation(
        "GET",
        _LEDGER + "/trust-report",
        "get_trust_report",
        "Whether the bank holds what is owed from each trust account, day by day",
        description=(
            "By the last balance that the bank has told, and what was moved since. A programme fails from "
            "the first day on which its bank lacks something, `failing_since`."
        ),
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(voucher_figures.trust_report),
        query=voucher_figures.TrustQuery,
        answer=TrustReport,
    ),
    Operation(
        "GET",
        _LEDGER + "/three-way",
        "get_three_way_differences",
        "Where ledger, Buffr and bank do not say the same",
        description=(
            "Of vouchers, settlements and other postings of trust accounts, by the last run against Buffr "
            "and the bank's statements. At most 1,000; the console has all."
        ),
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(voucher_figures.differences),
        answer=voucher_figures.Differences,
    ),
    Operation(
        "PUT",
        _BENEFICIARY,
        "register_beneficiary",
        "Register a beneficiary, or what has changed about them",
        description="The data stay outside the book, under a key of their own; the book has a commitment.",
        tag="Vouchers",
        scope="beneficiary:manage",
        handler=beneficiaries.register,
        body=Person,
        answer=Acknowledged,
        codes=("secrets_unavailable", *DATED),
    ),
    Operation(
        "GET",
        _BENEFICIARY,
        "get_beneficiary",
        "Who a beneficiary is",
        tag="Vouchers",
        scope="beneficiary:manage",
        handler=beneficiaries.get,
        answer=beneficiaries.BeneficiaryView,
        codes=("beneficiary_not_found", "secrets_unavailable"),
    ),
    Operation(
        "GET",
        _LEDGER + "/beneficiaries",
        "list_beneficiaries",
        "List beneficiaries by our name for them",
        tag="Vouchers",
        scope="beneficiary:manage",
        handler=beneficiaries.listed,
        query=beneficiaries.BeneficiariesQuery,
        answer=beneficiaries.BeneficiariesPage,
        codes=("secrets_unavailable",),
    ),
    Operation(
        "POST",
        _BENEFICIARY + "/erase",
        "erase_beneficiary",
        "Erase a beneficiary",
        description="Data, key and salt are destroyed; every proof of the book still verifies.",
        tag="Vouchers",
        scope="beneficiary:manage",
        handler=beneficiaries.erase,
        body=v.BeneficiaryErasure,
        answer=Acknowledged,
        codes=("beneficiary_not_found", *DATED),
    ),
    Operation(
        "GET",
        "/api/v1/beneficiaries",
        "list_beneficiaries_for_buffr",
        "Beneficiaries, at the path and in the form that Buffr knows",
        tag="Vouchers",
        scope="beneficiary:manage",
        handler=beneficiaries.for_buffr,
        query=beneficiaries.OfLedgerQuery,
        answer=beneficiaries.BeneficiariesForBuffr,
        codes=("ledger_not_found", "secrets_unavailable"),
    ),
    Operation(
        "GET",
        "/api/v1/vouchers/{voucher}",
        "get_voucher_for_buffr",
        "A voucher's status, at the path and in the form that Buffr knows",
        tag="Vouchers",
        scope="ledger:read",
        handler=beneficiaries.voucher_for_buffr,
        query=beneficiaries.VoucherQuery,
        answer=beneficiaries.VoucherAnswer,
        codes=("ledger_not_found", "voucher_not_found"),
    ),
    Operation(
        "GET",
        _VOUCHER,
        "get_voucher",
        "A voucher at head",
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(_voucher),
        answer=reads.VoucherView,
        codes=("voucher_not_found",),
    ),
    Operation(
        "GET",
        _VOUCHER + "/code",
        "get_voucher_code",
        "The code of a voucher",
        description="Made again, for who may issue: the answer was lost, or somebody approved of it.",
        tag="Vouchers",
        scope="ledger:write",
        handler=vouchers.show_code,
        answer=vouchers.VoucherCode,
        codes=("voucher_not_found", "secrets_unavailable"),
    ),
    _on_voucher(
        "/redeem",
        "redeem_voucher",
        "Redeem a voucher",
        vouchers.PayoutOfVoucher,
        "voucher_code_wrong",
        "exceeds_voucher",
        handler=vouchers.redeem,
        description="All that remains, or an amount; with `code`, only if it is the voucher's.",
    ),
    _on_voucher(
        "/distribute",
        "distribute_voucher",
        "Record that the distributor has the voucher",
        v.Distribution,
        "voucher_already_distributed",
    ),
    _on_voucher(
        "/deliver",
        "deliver_voucher",
        "Record that the beneficiary has the voucher",
        v.Delivery,
        "voucher_already_delivered",
        optional_body=True,
    ),
    _on_voucher(
        "/expire", "expire_voucher", "Expire a voucher", v.Expiry, "already_recorded", optional_body=True
    ),
    _on_voucher("/cancel", "cancel_voucher", "Cancel a voucher", v.Cancellation, "already_recorded"),
    _on_voucher(
        "/fail",
        "fail_voucher",
        "Record that a voucher could not be distributed",
        v.Failure,
        "voucher_already_failed",
        "already_recorded",
    ),
    _on_voucher(
        "/reissue",
        "reissue_voucher",
        "Issue a voucher again",
        v.Replacement,
        *_NEW,
        handler=vouchers.reissue,
        answer=vouchers.IssuedVoucher,
        location=_VOUCHERS + "/{replacement}",
        description="What remains moves to a new voucher with a new code; the old code is dead.",
    ),
    Operation(
        "POST",
        _PROGRAMMES,
        "open_programme",
        "Open a voucher programme",
        description="The ledger's chart must name the product `vouchers`.",
        tag="Vouchers",
        scope="ledger:admin",
        handler=handlers.command,
        body=v.ProgrammeOpening,
        answer=Acknowledged,
        status=201,
        codes=("programme_exists", "asset_not_in_chart", "account_not_in_chart", *DATED),
        location=_PROGRAMME,
    ),
    Operation(
        "GET",
        _PROGRAMMES,
        "list_programmes",
        "List voucher programmes by name",
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(_programmes),
        query=NamesQuery,
        answer=reads.ProgrammesPage,
    ),
    Operation(
        "GET",
        _PROGRAMME,
        "get_programme",
        "A voucher programme and its money",
        description="`deficiency` is what the trust account lacks of all that is owed.",
        tag="Vouchers",
        scope="ledger:read",
        handler=handlers.read(_programme),
        answer=reads.ProgrammeFigures,
        codes=("programme_not_found",),
    ),
    _on_programme("/fundings", "fund_programme", "Record a sponsor's money", v.Funding),
    _on_programme(
        "/returns",
        "return_funds",
        "Return money to the sponsor",
        v.Return,
        "At most what no voucher promises.",
    ),
    _on_programme("/fees", "charge_voucher_fee", "Record a fee that is owed", v.Fee),
    _on_programme("/fee-payments", "pay_voucher_fee", "Pay a fee from the operating account", v.FeePayment),
    _on_programme(
        "/settlements",
        "settle_payees",
        "Pay agents, merchants and wallets",
        v.Settlement,
        "All of them or none; without an amount, everything that is owed.",
        "nothing_to_settle",
    ),
)
