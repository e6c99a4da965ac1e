"""Events: facts, as they are stored and hashed. Never changed, never removed.

`body` in the store is exactly `encode(event)`. Types are short names with a schema version; `read_event` is
the one reader that live reads, rebuilds and verification share, and the place where an old schema version
would be turned into the present one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ledger.chart import Terms

POSTED, PENDING, RELEASE = 0, 1, 2
KINDS: tuple[Literal["posted"], Literal["pending"], Literal["release"]] = ("posted", "pending", "release")

SCHEMA_VERSIONS: dict[str, int] = {
    "ledger_opened": 1,
    "chart_set": 1,
    "account_opened": 1,
    "account_limits_set": 1,
    "account_closed": 1,
    "transaction_posted": 1,
    "transaction_held": 1,
    "hold_posted": 1,
    "hold_voided": 1,
    "hold_expired": 1,
    "transaction_reversed": 1,
    "transaction_annotated": 1,
    "period_closed": 1,
    "period_reopened": 1,
    "balance_asserted": 1,
    "ledger_restored": 1,
    "beneficiary_registered": 1,
    "beneficiary_erased": 1,
    "programme_opened": 1,
    "programme_funded": 1,
    "funds_returned": 1,
    "voucher_fee_charged": 1,
    "voucher_fee_paid": 1,
    "payees_settled": 1,
    "voucher_issued": 1,
    "voucher_distributed": 1,
    "voucher_delivered": 1,
    "voucher_redeemed": 1,
    "voucher_expired": 1,
    "voucher_cancelled": 1,
    "voucher_failed": 1,
    "voucher_reissued": 1,
    "voucher_contradicted": 1,
    "loan_policy_set": 1,
    "borrower_assessed": 1,
    "borrower_kyc_set": 1,
    "loan_application_submitted": 1,
    "loan_approval_given": 1,
    "loan_approved": 1,
    "loan_rejected": 1,
    "loan_withdrawn": 1,
    "loan_accepted": 1,
    "loan_offer_accepted": 1,
    "loan_disbursement_held": 1,
    "loan_disbursement_failed": 1,
    "loan_disbursed": 1,
    "provider_funds_received": 1,
    "provider_paid": 1,
    "credit_provider_registered": 1,
    "credit_provider_changed": 1,
    "credit_provider_activated": 1,
    "credit_provider_suspended": 1,
    "lead_distributed": 1,
    "lead_decided": 1,
    "lead_closed": 1,
    "lead_bidding_closed": 1,
    "lead_offers_expired": 1,
    "lead_fee_reversed": 1,
    "credit_provider_invoiced": 1,
    "provider_invoice_paid": 1,
    "provider_invoice_offset": 1,
    "revenue_shared": 1,
    "loan_accrued": 1,
    "loan_repaid": 1,
    "loan_prepaid": 1,
    "loan_settled": 1,
    "loan_overpayment_refunded": 1,
    "loan_repayment_charged_back": 1,
    "loan_transaction_undone": 1,
    "loan_charged": 1,
    "loan_waived": 1,
    "loan_goodwill_credited": 1,
    "loan_rescheduled": 1,
    "loan_charged_off": 1,
    "loan_written_off": 1,
    "loan_provisioned": 1,
    "loan_collateral_locked": 1,
    "loan_collateral_released": 1,
    "loan_collateral_liquidated": 1,
    "loan_repayment_due": 1,
    "loan_repayment_missed": 1,
    "loan_repayment_corrected": 1,
    "collection_case_opened": 1,
    "collection_case_changed": 1,
    "collection_note_added": 1,
    "collection_promise_made": 1,
    "collection_promise_kept": 1,
    "collection_promise_broken": 1,
    "collection_case_closed": 1,
    "loan_payment_created": 1,
    "loan_payment_processed": 1,
    "loan_payment_failed": 1,
    "loan_payment_matched": 1,
    "loan_payment_refunded": 1,
    "virtual_account_assigned": 1,
    "charge_recorded": 1,
    "refund_recorded": 1,
    "refunded_total_recorded": 1,
    "payout_recorded": 1,
    "payout_matched": 1,
    "dispute_recorded": 1,
    "balance_transaction_recorded": 1,
    "balance_transaction_classified": 1,
    "open_item_applied": 1,
    "invoice_payment_recorded": 1,
    "stripe_subscription_recorded": 1,
    "invoice_failure_recorded": 1,
    "credits_added": 1,
    "credits_used": 1,
    "usage_refunded": 1,
    "credits_adjusted": 1,
    "credits_held": 1,
    "credit_hold_changed": 1,
    "credit_hold_captured": 1,
    "credit_hold_released": 1,
    "credits_expired": 1,
    "credits_low": 1,
    "top_up_ordered": 1,
    "top_up_stopped": 1,
    "package_created": 1,
    "package_updated": 1,
    "purchase_ordered": 1,
    "purchase_declined": 1,
    "purchase_fulfilled": 1,
    "purchase_refunded": 1,
    "purchase_refund_reversed": 1,
    "purchase_frozen": 1,
    "purchase_unfrozen": 1,
    "dispute_lost": 1,
    "credit_settings_set": 1,
    "wallet_settings_set": 1,
    "reconciliation_started": 1,
    "reconciliation_items_found": 1,
    "reconciliation_finished": 1,
    "reconciliation_abandoned": 1,
    "reconciliation_item_resolved": 1,
    "kredit_rules_set": 1,
    "kredit_tenant_registered": 1,
    "kredit_tenant_changed": 1,
    "kredit_tenant_set": 1,
    "kyc_session_requested": 1,
    "kyc_session_started": 1,
    "kyc_session_processing": 1,
    "kyc_session_completed": 1,
    "kyc_session_expired": 1,
    "kyc_session_failed": 1,
    "subscription_payment_requested": 1,
    "subscription_payment_approved": 1,
    "subscription_payment_rejected": 1,
    "subscription_released": 1,
    "kredit_payment_recorded": 1,
    "kredit_payment_matched": 1,
}

# What happens because its time has come counts then, in a closed period too.
EXPIRIES = {
    "hold_expired",
    "lead_bidding_closed",
    "lead_offers_expired",
    "voucher_expired",
    "credits_expired",
    "credits_low",
    "top_up_ordered",
    "top_up_stopped",
    "kyc_session_expired",
    "subscription_released",
}


class EventPosting(Struct, frozen=True, omit_defaults=True, gc=False):
    """A leg as it stands in a body. `amount` is a digit string of minor units."""

    account: str
    amount: str
    asset: str
    side: Literal["debit", "credit"]
    kind: Literal["posted", "pending", "release"] = "posted"


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The envelope of every event; what belongs to one type alone stands in `data`.

    `data` by type: ledger_opened (name, time_zone, chart?); chart_set (chart); account_limits_set (account,
    limits); account_closed (account); transaction_held (expires_at?); hold_posted (transaction, final,
    amounts?); transaction_reversed (transaction, amounts?); hold_voided, hold_expired, transaction_annotated
    (transaction); period_closed (period, starts_at, ends_at); period_reopened (period, reason, closed_seq);
    balance_asserted (account, asset, at, expected, tolerance, source, balance); ledger_restored (incarnation,
    lost_incarnation, lost_size, lost_root, reason). `amounts` are digit strings, one for each leg of the
    transaction, where the command named them. `batch` is (index, size) in an atomic batch.
    `streams` are those that the event belongs to, with its number in each; `ends` names what of a product
    ended with it, once and for all. `fingerprint` is the hex SHA-256 of the request that `key` stands for.
    """

    accounts_opened: dict[str, Terms] = {}
    actor: str = ""
    approver: str = ""
    batch: tuple[int, int] | None = None
    data: dict[str, Any] = {}
    description: str = ""
    effective_at: str
    ends: tuple[str, ...] = ()
    fingerprint: str = ""
    key: str = ""
    ledger: str
    metadata: dict[str, str] = {}
    original_effective_at: str = ""
    postings: list[EventPosting] = []
    recorded_at: str
    reference: str = ""
    request_id: str = ""
    schema_version: int
    seq: int
    streams: dict[str, int] = {}
    type: str


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Event)
encode = _encoder.encode


class UnknownEvent(Exception):
    """A stored event of a type or schema version that this code does not know."""


def read_event(body: bytes) -> Event:
    """The event of a stored body, in the present schema version (UnknownEvent)."""
    event = _decoder.decode(body)
    if SCHEMA_VERSIONS.get(event.type) != event.schema_version:
        raise UnknownEvent(f"seq {event.seq}: {event.type} version {event.schema_version}")
    return event
