"""Rejections as data: every way in which a command can be refused.

The order of the table is the precedence: when several apply, the first one is reported. `transient` tells
whether the same request may succeed later (with a new key: the outcome of a key never changes).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class RejectionCode(Struct, frozen=True):
    """One row of the table. `status` is the HTTP status; `evidence` names the fields that come with it."""

    code: str
    status: int
    transient: bool
    sentence: str
    evidence: tuple[str, ...] = ()


class Rejection(Struct, frozen=True):
    """A refused command: the code and the figures that show why."""

    code: str
    evidence: dict[str, Any] = {}


TABLE: tuple[RejectionCode, ...] = (
    RejectionCode(
        "idempotency_key_reused", 422, False, "The idempotency key was used for another request.", ("key",)
    ),
    RejectionCode("ledger_not_found", 404, True, "There is no ledger of this name."),
    RejectionCode("ledger_exists", 409, False, "A ledger of this name exists.", ("name",)),
    RejectionCode("product_unknown", 422, False, "There is no such product.", ("product",)),
    RejectionCode(
        "pattern_not_of_product",
        422,
        False,
        "A pattern that is a product's is one that the chart's products ship.",
        ("pattern", "product"),
    ),
    RejectionCode("product_stays", 422, False, "A chart keeps the products that it has.", ("product",)),
    RejectionCode(
        "chart_patterns_overlap",
        422,
        False,
        "Two patterns of the chart match one address.",
        ("pattern", "other"),
    ),
    RejectionCode(
        "asset_scale_conflict", 422, False, "An asset code has one scale in a ledger.", ("asset", "known")
    ),
    RejectionCode(
        "account_before_product",
        422,
        False,
        "An account that the product would have to itself was opened before it.",
        ("account", "product"),
    ),
    RejectionCode(
        "period_not_over", 422, True, "A period closes when it is over.", ("period", "ends_at", "now")
    ),
    RejectionCode("period_already_closed", 409, True, "The period is closed.", ("period", "closed_seq")),
    RejectionCode(
        "period_not_closed",
        409,
        True,
        "The period is not closed, or not by the closing that is meant.",
        ("period", "closed_seq"),
    ),
    RejectionCode(
        "larger_period_closed",
        409,
        True,
        "The period is inside a larger one that is closed.",
        ("period", "larger", "closed_seq"),
    ),
    RejectionCode("transaction_not_found", 404, True, "There is no transaction with this seq.", ("seq",)),
    RejectionCode(
        "not_a_hold", 422, False, "The transaction was not held, so it cannot be posted or voided.", ("seq",)
    ),
    RejectionCode(
        "reversal_of_reversal", 422, False, "A reversal is not reversed: post a new transaction.", ("seq",)
    ),
    RejectionCode(
        "reversal_of_hold", 422, False, "A hold is voided; its posted parts are reversed.", ("seq",)
    ),
    RejectionCode("hold_already_posted", 409, False, "The hold was posted in full.", ("seq", "ended_by")),
    RejectionCode("hold_already_voided", 409, False, "The hold was voided.", ("seq", "ended_by")),
    RejectionCode(
        "hold_already_expired", 409, False, "The hold's time ran out.", ("seq", "ended_by", "expires_at")
    ),
    RejectionCode(
        "already_reversed", 409, False, "The transaction was reversed in full.", ("seq", "ended_by")
    ),
    RejectionCode(
        "amounts_count_differs", 422, False, "`amounts` needs one amount for each leg.", ("legs", "amounts")
    ),
    RejectionCode(
        "exceeds_remaining",
        422,
        False,
        "A leg has less left than the amount asked.",
        ("leg", "remaining", "amount"),
    ),
    RejectionCode(
        "reconciliation_not_found", 404, True, "There is no reconciliation of this name.", ("run",)
    ),
    RejectionCode("reconciliation_exists", 409, False, "A reconciliation of this name exists.", ("run",)),
    RejectionCode(
        "reconciliation_has_ended",
        409,
        False,
        "The reconciliation was finished or abandoned.",
        ("run", "status"),
    ),
    RejectionCode(
        "reconciliation_page_out_of_order",
        409,
        True,
        "Pages of items come one after another.",
        ("run", "page", "expected"),
    ),
    RejectionCode(
        "reconciliation_item_not_found",
        404,
        True,
        "The reconciliation has no such item.",
        ("run", "item"),
    ),
    RejectionCode(
        "reconciliation_item_is_resolved", 409, False, "The item was resolved.", ("run", "item", "seq")
    ),
    RejectionCode("beneficiary_not_found", 404, True, "No such beneficiary is registered.", ("beneficiary",)),
    RejectionCode("programme_not_found", 404, True, "There is no such programme.", ("programme",)),
    RejectionCode("programme_exists", 409, False, "A programme of this name exists.", ("programme",)),
    RejectionCode("voucher_not_found", 404, True, "There is no such voucher.", ("voucher",)),
    RejectionCode("voucher_exists", 409, False, "A voucher of this name exists.", ("voucher",)),
    RejectionCode("voucher_code_taken", 409, False, "Another voucher has this code.", ("voucher", "other")),
    RejectionCode(
        "voucher_code_wrong", 422, False, "This is not the voucher's code, or no voucher's.", ("voucher",)
    ),
    RejectionCode(
        "voucher_already_distributed",
        409,
        False,
        "The distributor has taken the voucher over.",
        ("voucher", "delivery"),
    ),
    RejectionCode(
        "voucher_already_delivered", 409, False, "The voucher was delivered.", ("voucher", "delivered_at")
    ),
    RejectionCode("voucher_already_failed", 409, False, "The voucher has failed.", ("voucher",)),
    RejectionCode(
        "voucher_not_open",
        409,
        False,
        "The voucher is redeemed, expired, cancelled or issued again.",
        ("voucher", "status"),
    ),
    RejectionCode(
        "exceeds_voucher", 422, False, "Less remains of the voucher.", ("voucher", "remaining", "amount")
    ),
    RejectionCode(
        "voucher_decimals_differ",
        422,
        False,
        "The amount was counted in other decimals than the voucher's asset has.",
        ("voucher", "asset", "decimals"),
    ),
    RejectionCode("expires_in_past", 422, False, "`expires_at` has passed.", ("expires_at", "now")),
    RejectionCode("already_recorded", 409, False, "This was told and posted before.", ("what",)),
    RejectionCode(
        "nothing_to_classify", 422, True, "Nothing of this balance transaction is unclassified.", ("txn",)
    ),
    RejectionCode("item_not_open", 409, True, "The item is not open, as far as is known.", ("item",)),
    RejectionCode("nothing_to_settle", 422, True, "Nothing is owed to the payee.", ("payee_type", "payee")),
    RejectionCode(
        "kyc_not_verified", 400, True, "The borrower's KYC status is not `verified`.", ("borrower", "kyc")
    ),
    RejectionCode("borrower_not_found", 404, True, "Nothing is known of this borrower.", ("borrower",)),
    RejectionCode("loan_not_found", 404, True, "There is no such loan.", ("loan",)),
    RejectionCode("loan_exists", 409, False, "A loan of this name exists.", ("loan",)),
    RejectionCode("loan_payment_not_found", 404, True, "There is no such payment.", ("payment",)),
    RejectionCode("loan_payment_exists", 409, False, "A payment of this name exists.", ("payment",)),
    RejectionCode(
        "loan_payment_status",
        409,
        True,
        "The payment's status does not allow it.",
        ("payment", "status", "allowed"),
    ),
    RejectionCode(
        "payment_asset_differs",
        422,
        False,
        "The payment is in another asset than the loan.",
        ("asset", "paid"),
    ),
    RejectionCode("exceeds_payment", 422, True, "Less of the payment is left.", ("left", "amount")),
    RejectionCode(
        "rating_refused",
        422,
        True,
        "The policy refuses borrowers of this risk rating.",
        ("borrower", "rating"),
    ),
    RejectionCode(
        "credit_limit_exceeded",
        422,
        True,
        "The borrower's credit limit has no room for the loan.",
        ("borrower", "asset", "free", "amount"),
    ),
    RejectionCode(
        "loan_status", 409, True, "The loan's status does not allow it.", ("loan", "status", "allowed")
    ),
    RejectionCode(
        "offer_asset_differs",
        422,
        False,
        "The offer is in another asset than the application.",
        ("asset", "offered"),
    ),
    RejectionCode(
        "second_person_needed",
        403,
        True,
        "The amount needs the approval of two people, and neither may be who applied.",
        ("loan", "actor"),
    ),
    RejectionCode("offer_expired", 409, False, "The offer has expired.", ("loan", "expires_at")),
    RejectionCode("disbursement_under_way", 409, True, "Money is on its way to the borrower.", ("loan",)),
    RejectionCode(
        "exceeds_offer", 422, True, "The offer has less left to disburse.", ("loan", "left", "amount")
    ),
    RejectionCode(
        "below_fee",
        422,
        False,
        "The first disbursement is less than the fee that is kept of it.",
        ("fee", "amount"),
    ),
    RejectionCode(
        "disbursement_reference_used",
        409,
        False,
        "A disbursement of the loan has this reference.",
        ("loan", "reference"),
    ),
    RejectionCode(
        "disbursement_not_found", 404, False, "The loan has no such disbursement.", ("loan", "disbursement")
    ),
    RejectionCode(
        "disbursement_ended",
        409,
        False,
        "The disbursement was confirmed or failed.",
        ("disbursement", "status"),
    ),
    RejectionCode(
        "first_due_not_later", 422, False, "The first instalment is due after the day.", ("first_due", "day")
    ),
    RejectionCode("nothing_disbursed", 422, True, "Nothing was disbursed by then."),
    RejectionCode(
        "loan_matured",
        422,
        False,
        "The last instalment is due, so there is nothing to plan a disbursement over.",
        ("due",),
    ),
    RejectionCode("already_accrued", 409, True, "The loan has accrued to this day.", ("accrued_to", "day")),
    RejectionCode(
        "loan_transaction_not_found",
        404,
        False,
        "The loan has no such transaction, or it was undone.",
        ("transaction",),
    ),
    RejectionCode(
        "disbursement_not_undone", 422, False, "A disbursement is not undone: it is repaid.", ("transaction",)
    ),
    RejectionCode(
        "later_transaction_conflicts",
        409,
        True,
        "A later transaction of the loan would not be possible any more.",
        ("transaction", "because"),
    ),
    RejectionCode("repayment_not_found", 404, False, "The loan has no such repayment.", ("repayment",)),
    RejectionCode("exceeds_repayment", 422, True, "Less of the repayment is left.", ("left", "amount")),
    RejectionCode("below_payoff", 422, True, "It is less than the payoff of the day.", ("payoff", "amount")),
    RejectionCode("exceeds_overpayment", 422, True, "Less was overpaid.", ("overpaid", "amount")),
    RejectionCode("exceeds_owed", 422, True, "Less is owed.", ("part", "owed", "amount")),
    RejectionCode(
        "instalments_too_late",
        422,
        False,
        "An instalment would be due after the last day that is reckoned with, or after 100 years.",
        ("last_due",),
    ),
    RejectionCode("nothing_owed", 409, True, "Nothing is owed."),
    RejectionCode("loan_charged_off", 409, True, "The loan is not on the books, or was charged off."),
    RejectionCode("loan_written_off", 409, False, "The loan was written off."),
    RejectionCode(
        "nothing_to_announce",
        409,
        True,
        "Of this instalment nothing is to be said that was not said.",
        ("loan", "due"),
    ),
    RejectionCode(
        "collection_case_open", 409, True, "The loan has a collection case that is open.", ("loan", "case")
    ),
    RejectionCode(
        "collection_case_not_open", 409, True, "The loan has no collection case that is open.", ("loan",)
    ),
    RejectionCode(
        "not_to_be_collected",
        409,
        True,
        "The loan is not so long past due that a case opens by itself.",
        ("days_past_due", "collection_days"),
    ),
    RejectionCode(
        "still_past_due", 409, True, "Something of the loan is still past due.", ("days_past_due",)
    ),
    RejectionCode("promise_day_over", 422, False, "The promise's day is over.", ("by", "day")),
    RejectionCode("promise_not_found", 404, True, "The case has no such promise.", ("loan", "promise")),
    RejectionCode(
        "promise_undecided",
        409,
        True,
        "The promise is neither kept nor broken yet, or that was recorded.",
        ("promise", "outcome"),
    ),
    RejectionCode("collateral_locked", 409, False, "Collateral of this name is locked.", ("collateral",)),
    RejectionCode(
        "collateral_not_found", 404, False, "No collateral of this name is locked.", ("collateral",)
    ),
    RejectionCode("credit_provider_not_found", 404, True, "There is no such credit provider.", ("provider",)),
    RejectionCode(
        "credit_provider_exists", 409, False, "A credit provider of this name exists.", ("provider",)
    ),
    RejectionCode(
        "too_many_credit_providers",
        422,
        False,
        "The ledger has as many credit providers as a lead can be sent to.",
        ("most",),
    ),
    RejectionCode(
        "credit_provider_not_active", 409, True, "The credit provider is not active.", ("provider", "status")
    ),
    RejectionCode(
        "lead_not_found",
        404,
        True,
        "There is no such lead, or it is not one of this credit provider's.",
        ("lead",),
    ),
    RejectionCode("lead_exists", 409, False, "The application was distributed.", ("lead",)),
    RejectionCode(
        "lead_differs", 422, False, "The application is for another amount.", ("lead", "applied", "amount")
    ),
    RejectionCode(
        "lead_not_open",
        409,
        False,
        "The bidding is closed, or this credit provider has answered.",
        ("lead", "provider", "status", "bidding"),
    ),
    RejectionCode(
        "exceeds_request",
        422,
        False,
        "The offer is more than was applied for.",
        ("lead", "requested", "amount"),
    ),
    RejectionCode(
        "rate_outside_range",
        422,
        True,
        "The rate is outside the range that the credit provider has declared.",
        ("rate", "lowest", "highest"),
    ),
    RejectionCode(
        "no_standing_offer",
        409,
        True,
        "The credit provider has no offer on the lead that can be accepted.",
        ("lead", "provider", "status"),
    ),
    RejectionCode(
        "no_lead_fee",
        409,
        False,
        "The lead has no fee that this can be done with.",
        ("lead", "provider", "fee"),
    ),
    RejectionCode(
        "provider_invoice_not_found",
        404,
        True,
        "The credit provider has no such invoice.",
        ("provider", "invoice"),
    ),
    RejectionCode(
        "provider_invoice_exists",
        409,
        False,
        "The credit provider has an invoice of this name.",
        ("provider", "invoice"),
    ),
    RejectionCode("invoice_of_several_assets", 422, False, "An invoice is in one asset.", ("assets",)),
    RejectionCode(
        "exceeds_invoice", 422, True, "Less is open on the invoice.", ("invoice", "open", "amount")
    ),
    RejectionCode(
        "exceeds_payable", 422, True, "Less is owed to the credit provider.", ("provider", "asset", "payable")
    ),
    RejectionCode(
        "kredit_tenant_not_found", 404, True, "Kredit has no such tenant, as far as is known.", ("tenant",)
    ),
    RejectionCode(
        "kredit_tenant_prepaid", 409, True, "The tenant pays in advance, by buying credits.", ("tenant",)
    ),
    RejectionCode(
        "verification_open", 409, True, "The request has a session that is not over.", ("session",)
    ),
    RejectionCode(
        "verification_unpaid",
        402,
        True,
        "The tenant has fewer credits than a verification takes.",
        ("tenant", "required", "available"),
    ),
    RejectionCode("verification_not_found", 404, True, "There is no such session.", ("session",)),
    RejectionCode("verification_over", 409, False, "The session is over.", ("session", "status")),
    RejectionCode("kredit_payment_exists", 409, False, "The payment was requested before.", ("request",)),
    RejectionCode("kredit_payment_not_found", 404, True, "There is no such payment.", ("payment",)),
    RejectionCode(
        "kredit_payment_decided",
        409,
        False,
        "The payment was decided: once is enough.",
        ("request", "status"),
    ),
    RejectionCode(
        "kredit_payment_not_approved",
        409,
        True,
        "What was not approved is not at the bank.",
        ("request", "status"),
    ),
    RejectionCode(
        "period_ends_before",
        422,
        False,
        "`period_end` lies before `period_start` by the ledger's calendar.",
        ("period_start", "period_end"),
    ),
    RejectionCode(
        "effective_at_in_future",
        422,
        True,
        "`effective_at` is later than the ledger's clock.",
        ("effective_at", "now"),
    ),
    RejectionCode("asserted_in_future", 422, True, "`at` is later than the ledger's clock.", ("at", "now")),
    RejectionCode(
        "original_not_earlier",
        422,
        False,
        "`original_effective_at` is not earlier than `effective_at`.",
        ("original_effective_at", "effective_at"),
    ),
    RejectionCode(
        "period_closed",
        422,
        True,
        "`effective_at` is inside a closed period.",
        ("period", "effective_at", "first_open", "first_open_date"),
    ),
    RejectionCode(
        "effective_before_original",
        422,
        False,
        "A part or a reversal cannot count earlier than its original.",
        ("effective_at", "transaction_effective_at"),
    ),
    RejectionCode("amount_not_positive", 422, False, "Amount must be positive.", ("amount",)),
    RejectionCode("package_not_found", 404, True, "Package not found.", ("package",)),
    RejectionCode("package_exists", 409, False, "A package of this id exists.", ("package",)),
    RejectionCode(
        "package_not_active",
        422,
        True,
        "The package is not on offer, or not for these credits.",
        ("package",),
    ),
    RejectionCode("order_not_found", 404, True, "There is no such order.", ("order",)),
    RejectionCode("order_exists", 409, False, "An order of this id exists.", ("order",)),
    RejectionCode(
        "order_not_pending",
        409,
        True,
        "The order is not waiting for its payment.",
        (
            "order",
            "status",
        ),
    ),
    RejectionCode(
        "nothing_bought", 404, True, "Nothing was bought with this payment, as far as is known.", ("payment",)
    ),
    RejectionCode(
        "order_fulfilled",
        409,
        False,
        "The order was fulfilled: its credits are granted once.",
        (
            "order",
            "fulfilled_by",
        ),
    ),
    RejectionCode(
        "order_not_fulfilled",
        409,
        True,
        "The order is not paid, so nothing of it can be given back.",
        (
            "order",
            "status",
        ),
    ),
    RejectionCode(
        "payment_differs",
        422,
        False,
        "What was paid is not what was ordered.",
        (
            "order",
            "price",
            "asset",
            "paid",
            "tax",
            "discount",
            "paid_asset",
        ),
    ),
    RejectionCode(
        "refund_exceeds_purchase",
        422,
        True,
        "More would be given back than was paid.",
        (
            "order",
            "paid",
            "left",
            "asked",
        ),
    ),
    RejectionCode(
        "purchase_refunded",
        422,
        False,
        "The money for these credits was given back.",
        (
            "order",
            "refunded",
        ),
    ),
    RejectionCode(
        "purchase_frozen",
        409,
        True,
        "The purchase is frozen by a dispute.",
        (
            "order",
            "dispute",
        ),
    ),
    RejectionCode(
        "purchase_not_frozen",
        409,
        True,
        "The purchase is not frozen by this dispute.",
        (
            "order",
            "dispute",
        ),
    ),
    RejectionCode("usage_not_found", 404, True, "No use of credits has this seq.", ("transaction",)),
    RejectionCode(
        "usage_already_refunded",
        409,
        False,
        "Transaction has already been refunded.",
        (
            "transaction",
            "refunded_by",
        ),
    ),
    RejectionCode("credit_hold_not_open", 404, True, "The wallet has no open hold of this seq.", ("hold",)),
    RejectionCode(
        "exceeds_credit_hold",
        422,
        False,
        "The hold has less left than the amount asked.",
        (
            "hold",
            "remaining",
            "amount",
        ),
    ),
    RejectionCode(
        "too_many_lots",
        422,
        True,
        "The wallet has as many open lots as it can have.",
        (
            "lots",
            "limit",
        ),
    ),
    RejectionCode(
        "usage_limit_exceeded",
        422,
        True,
        "The wallet's usage limit for the window would be exceeded.",
        (
            "limit",
            "window",
            "used",
            "asked",
        ),
    ),
    RejectionCode(
        "insufficient_credits",
        422,
        True,
        "Insufficient credits.",
        (
            "required",
            "available",
            "shortfall",
            "held",
        ),
    ),
    RejectionCode(
        "unbalanced", 422, False, "Debits and credits of an asset differ.", ("asset", "debits", "credits")
    ),
    RejectionCode(
        "asset_not_in_chart", 422, True, "No chart of the ledger has named this asset.", ("asset",)
    ),
    RejectionCode("account_exists", 409, False, "The account is open.", ("account", "opened_seq")),
    RejectionCode("account_not_found", 404, True, "There is no such account.", ("account",)),
    RejectionCode(
        "account_not_in_chart", 422, True, "No pattern of the chart matches the address.", ("account",)
    ),
    RejectionCode("account_closed", 422, False, "The account is closed.", ("account", "closed_seq")),
    RejectionCode(
        "asset_not_allowed",
        422,
        False,
        "The account does not take this asset.",
        ("account", "asset", "allowed"),
    ),
    RejectionCode(
        "account_of_product",
        422,
        False,
        "A product keeps this account: only its own commands post to it.",
        ("account", "product"),
    ),
    RejectionCode(
        "retained_earnings_not_equity",
        422,
        False,
        "Closing entries go to an equity account that is not memo.",
        ("account", "type", "memo"),
    ),
    RejectionCode(
        "condition_unknown",
        422,
        True,
        "A condition names an account or asset that the ledger does not have.",
        ("condition", "account", "asset"),
    ),
    RejectionCode(
        "account_not_empty",
        422,
        True,
        "An account closes with zero balances and no hold.",
        ("account", "asset", "posted", "debits_pending", "credits_pending"),
    ),
    RejectionCode(
        "limit_already_exceeded",
        422,
        True,
        "The account is outside the new limits.",
        ("account", "asset", "posted", "pending", "available"),
    ),
    RejectionCode("nothing_available", 422, True, "There is no room to move anything.", ("asked",)),
    RejectionCode(
        "amount_overflow", 422, False, "A counter of the account would leave 64 bits.", ("account", "asset")
    ),
    RejectionCode(
        "insufficient_available",
        422,
        True,
        "The available balance would fall below the account's minimum.",
        ("account", "asset", "min_available", "available", "held", "short_by"),
    ),
    RejectionCode(
        "max_balance_exceeded",
        422,
        True,
        "The balance would rise above the account's maximum.",
        ("account", "asset", "max_balance", "balance", "held", "over_by"),
    ),
    RejectionCode(
        "condition_failed",
        422,
        True,
        "A condition of the request does not hold.",
        ("condition", "account", "asset", "balance", "actual"),
    ),
    RejectionCode("event_too_large", 422, False, "The event would be too long.", ("bytes", "limit")),
    RejectionCode(
        "approval_required",
        202,
        False,
        "A second person must approve of it.",
        ("asset", "amount", "above"),
    ),
    RejectionCode(
        "linked_failed", 422, True, "Another transaction of the atomic batch was refused.", ("index", "code")
    ),
)

CODES: dict[str, RejectionCode] = {row.code: row for row in TABLE}
PRECEDENCE: dict[str, int] = {row.code: i for i, row in enumerate(TABLE)}
