"""Every way to be refused: each code for its reason, with its figures; and which of two reasons is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.rejections import CODES, PRECEDENCE
from tests.journal import BOOK, START, book, play

HOLD = """
    hold timeout=5
      Dr customers:1  40
      Cr cash         40
"""
LONG_LEGS = "\n      ".join(f"Dr cash 1\n      Cr free:{'x' * 180}{i:03} 1" for i in range(200))
# Each ends in the refusal, with its evidence.
REFUSALS = {
    "ledger_exists": """
        ledger USD/2
        ! ledger_exists  name=main""",
    "chart_patterns_overlap": """
        chart USD/2
          a:{b}  asset
          {b}:a  asset
        ! chart_patterns_overlap  pattern=a:{b} other={b}:a""",
    "asset_scale_conflict": """
        chart USD/3
        ! asset_scale_conflict  asset=USD/3 known=USD/2""",
    "period_not_over": """
        shut 2027-01
        ! period_not_over  period=2027-01 ends_at=@1440000 now=@0.000003""",
    "period_already_closed": """
        shut 2026-12
        shut 2026-12
        ! period_already_closed  period=2026-12 closed_seq=3""",
    "period_not_closed": """
        shut 2026-12
        reopen 2026-12 seq=2
        ! period_not_closed  period=2026-12 closed_seq=3""",
    "larger_period_closed": """
        shut 2026-12-24
        shut 2026-12
        shut 2026
        reopen 2026-12-24
        ! larger_period_closed  period=2026-12-24 larger=2026 closed_seq=5""",
    "transaction_not_found": """
        reverse 4
        ! transaction_not_found  seq=4""",
    "not_a_hold": """
        void 2
        ! not_a_hold  seq=2""",
    "reversal_of_reversal": """
        reverse 2
        reverse 3
        ! reversal_of_reversal  seq=3""",
    "reversal_of_hold": f"""{HOLD}
    reverse 3
    ! reversal_of_hold  seq=3""",
    "hold_already_posted": f"""{HOLD}
    whole 3
    whole 3
    ! hold_already_posted  seq=3 ended_by=4""",
    "hold_already_voided": f"""{HOLD}
    void 3
    part 3 1 1
    ! hold_already_voided  seq=3 ended_by=4""",
    "hold_already_expired": f"""{HOLD}
    wait 5
    void 3
    ! hold_already_expired  seq=3 ended_by=4 expires_at=@5.000003""",
    "already_reversed": """
        reverse 2
        reverse 2
        ! already_reversed  seq=2 ended_by=3""",
    "amounts_count_differs": """
        reverse 2 1 1 1
        ! amounts_count_differs  legs=2 amounts=3""",
    "exceeds_remaining": """
        reverse 2 100 101
        ! exceeds_remaining  leg=1 remaining=100 amount=101""",
    "effective_at_in_future": """
        reverse 2 at=1
        ! effective_at_in_future  effective_at=@1.000003 now=@0.000003""",
    "effective_before_original": """
        reverse 2 at=-1
        ! effective_before_original  effective_at=@-0.999997 transaction_effective_at=@0.000002""",
    "asserted_in_future": """
        assert cash 100 on=2027-01-15
        ! asserted_in_future  at=@57599.999999 now=@0.000003""",
    "original_not_earlier": """
        post at=-5 first=-5
          Dr cash         5
          Cr customers:1  5
        ! original_not_earlier  original_effective_at=@-4.999997 effective_at=@-4.999997""",
    "period_closed": """
        shut 2027-01-13
        shut 2027-01-14
        post at=-86400
          Dr cash         5
          Cr customers:1  5
        ! period_closed  period=2027-01-14 effective_at=@-86399.999995 first_open=@-28800""",
    "unbalanced": """
        post
          Dr cash         5
          Cr customers:1  6
        ! unbalanced  asset=USD/2 debits=5 credits=6""",
    "asset_not_in_chart": """
        post
          Dr cash         5 GBP/2
          Cr customers:1  5 GBP/2
        ! asset_not_in_chart  asset=GBP/2""",
    "account_exists": """
        open cash
        ! account_exists  account=cash opened_seq=2""",
    "account_not_found": """
        close free:1
        ! account_not_found  account=free:1""",
    "account_not_in_chart": """
        post
          Dr cash     5
          Cr nowhere  5
        ! account_not_in_chart  account=nowhere""",
    "account_closed": """
        open free:1
        close free:1
        limits free:1 min=0
        ! account_closed  account=free:1 closed_seq=4""",
    "asset_not_allowed": """
        post
          Dr vault  5 EUR/2
          Cr fx     5 EUR/2
        ! asset_not_allowed  account=vault asset=EUR/2 allowed=USD/2""",
    "retained_earnings_not_equity": """
        shut 2026 to=refunds
        ! retained_earnings_not_equity  account=refunds type=income memo=False""",
    "condition_unknown": """
        post
          Dr cash         5
          Cr customers:1  5
          if cash min=0
          if free:9 min=0
        ! condition_unknown  condition=1 account=free:9 asset=USD/2""",
    "account_not_empty": """
        close cash
        ! account_not_empty  account=cash asset=USD/2 posted=100 debits_pending=0 credits_pending=0""",
    "limit_already_exceeded": """
        limits cash max=99
        ! limit_already_exceeded  account=cash asset=USD/2 posted=100 pending=100 available=100""",
    "nothing_available": """
        up_to
          Dr customers:2  5
          Cr cash         5
        ! nothing_available  asked=5""",
    "amount_overflow": """
        post
          Dr cash         9223372036854775708
          Cr customers:1  9223372036854775708
        ! amount_overflow  account=cash asset=USD/2""",
    "insufficient_available": f"""{HOLD}
    post
      Dr customers:1  61
      Cr cash         61
    ! insufficient_available  account=customers:1 asset=USD/2 available=60 held=40 short_by=1""",
    "max_balance_exceeded": """
        hold
          Dr refunds      20
          Cr cash         20
        post
          Dr refunds      31
          Cr cash         31
        ! max_balance_exceeded  account=refunds asset=USD/2 max_balance=50 balance=0 held=20 over_by=1""",
    "condition_failed": """
        post
          Dr cash         5
          Cr customers:1  5
          if cash posted max=104
        ! condition_failed  condition=0 account=cash asset=USD/2 balance=posted actual=105""",
    "event_too_large": f"""
    post
      {LONG_LEGS}
    ! event_too_large  bytes=104826 limit=65535""",
}
BY_BATCHES = {"idempotency_key_reused", "linked_failed", "ledger_not_found"}
# Refusals that take a product, and the modules with their tests.
BY_PRODUCTS = {
    "test_approvals.py": {"approval_required"},
    "test_products_in_trouble.py": {"account_before_product"},
    "test_products.py": {"product_unknown", "pattern_not_of_product", "account_of_product"},
    "test_vouchers.py": {
        "beneficiary_not_found",
        "programme_not_found",
        "programme_exists",
        "voucher_not_found",
        "voucher_exists",
        "voucher_code_taken",
        "voucher_code_wrong",
        "voucher_already_distributed",
        "voucher_already_delivered",
        "voucher_already_failed",
        "voucher_not_open",
        "exceeds_voucher",
        "voucher_decimals_differ",
        "expires_in_past",
        "nothing_to_settle",
    },
    "test_kredit.py": {
        "kredit_tenant_not_found",
        "kredit_tenant_prepaid",
        "verification_open",
        "verification_unpaid",
        "verification_not_found",
        "verification_over",
        "kredit_payment_exists",
        "kredit_payment_not_found",
        "kredit_payment_decided",
        "kredit_payment_not_approved",
        "period_ends_before",
    },
    "test_reconciliation.py": {
        "reconciliation_not_found",
        "reconciliation_exists",
        "reconciliation_has_ended",
        "reconciliation_page_out_of_order",
        "reconciliation_item_not_found",
        "reconciliation_item_is_resolved",
    },
    "test_providers.py": {
        "credit_provider_not_found",
        "credit_provider_exists",
        "too_many_credit_providers",
        "credit_provider_not_active",
        "lead_not_found",
        "lead_exists",
        "lead_differs",
        "lead_not_open",
        "exceeds_request",
        "rate_outside_range",
        "no_standing_offer",
        "no_lead_fee",
        "provider_invoice_not_found",
        "provider_invoice_exists",
        "invoice_of_several_assets",
        "exceeds_invoice",
        "exceeds_payable",
    },
    "test_payments.py": {"already_recorded", "item_not_open", "nothing_bought", "nothing_to_classify"},
    "test_collections.py": {
        "collection_case_not_open",
        "collection_case_open",
        "not_to_be_collected",
        "nothing_to_announce",
        "promise_day_over",
        "promise_not_found",
        "promise_undecided",
        "still_past_due",
    },
    "test_loan_payments.py": {
        "exceeds_payment",
        "loan_payment_exists",
        "loan_payment_not_found",
        "loan_payment_status",
        "payment_asset_differs",
    },
    "test_loans.py": {
        "already_accrued",
        "below_fee",
        "below_payoff",
        "borrower_not_found",
        "collateral_locked",
        "collateral_not_found",
        "credit_limit_exceeded",
        "disbursement_ended",
        "disbursement_not_found",
        "disbursement_not_undone",
        "disbursement_reference_used",
        "disbursement_under_way",
        "exceeds_offer",
        "exceeds_overpayment",
        "exceeds_owed",
        "exceeds_repayment",
        "first_due_not_later",
        "kyc_not_verified",
        "later_transaction_conflicts",
        "loan_charged_off",
        "loan_exists",
        "loan_matured",
        "loan_not_found",
        "loan_status",
        "loan_transaction_not_found",
        "loan_written_off",
        "nothing_disbursed",
        "instalments_too_late",
        "nothing_owed",
        "offer_asset_differs",
        "offer_expired",
        "rating_refused",
        "repayment_not_found",
        "second_person_needed",
    },
    "test_credits.py": {
        "amount_not_positive",
        "package_not_found",
        "package_exists",
        "package_not_active",
        "order_not_found",
        "order_exists",
        "order_not_pending",
        "order_fulfilled",
        "order_not_fulfilled",
        "payment_differs",
        "refund_exceeds_purchase",
        "purchase_refunded",
        "purchase_frozen",
        "purchase_not_frozen",
        "usage_not_found",
        "usage_already_refunded",
        "credit_hold_not_open",
        "exceeds_credit_hold",
        "too_many_lots",
        "usage_limit_exceeded",
        "insufficient_credits",
        "product_stays",
    },
}


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_carries_its_evidence(code: str) -> None:
    """Each code is given for its reason, with the figures that show why, all of them and no other."""
    assert book(REFUSALS[code]).refused[-1] == code


def test_every_code_has_an_example() -> None:
    """No code of the table is without a test; test_groups.py has those that need more than a command."""
    assert set(REFUSALS) | BY_BATCHES | set().union(*BY_PRODUCTS.values()) == set(CODES)
    for module, codes in BY_PRODUCTS.items():
        tests = (Path(__file__).parent / module).read_text()
        assert not {code for code in codes if f'"{code}"' not in tests}, module


# The first code is given although the second holds too, as shows once the first is cured: the text with its
# gap filled by the one word and by the other. Lines are parted by `/`, commands by `;`.
PAIRS = [
    ("ledger_exists", "asset_scale_conflict", "{} USD/3", "ledger", "chart"),
    (
        "chart_patterns_overlap",
        "asset_scale_conflict",
        "chart USD/3 / a:{} asset / {{b}}:a asset",
        "{b}",
        "b",
    ),
    ("period_not_over", "account_not_in_chart", "shut {} to=nowhere", "2027", "2026"),
    ("period_already_closed", "account_not_in_chart", "shut 2026 ; shut {} to=nowhere", "2026", "2025"),
    ("larger_period_closed", "account_not_in_chart", "shut {} ; shut 2026-12 to=nowhere", "2026", "2025"),
    ("transaction_not_found", "effective_at_in_future", "reverse {} at=1", "9", "2"),
    ("not_a_hold", "effective_at_in_future", "{} 2 at=1", "void", "reverse"),
    ("amounts_count_differs", "exceeds_remaining", "reverse 2 101 {}", "", "101"),
    ("exceeds_remaining", "effective_at_in_future", "reverse 2 {0} {0} at=1", "101", "100"),
    ("effective_at_in_future", "unbalanced", "reverse 2 2 1 {}", "at=1", ""),
    ("effective_at_in_future", "original_not_earlier", "reverse 2 first=2 {}", "at=1", "at=0"),
    ("original_not_earlier", "period_closed", "shut 2026 ; reverse 2 at=-9999999 {}", "first=0", ""),
    ("period_closed", "effective_before_original", "shut {} ; reverse 2 at=-9999999", "2026", "2025"),
    (
        "asserted_in_future",
        "asset_not_in_chart",
        "assert cash 1 asset=GBP/2 on={}",
        "2027-02-01",
        "2026-02-01",
    ),
    ("asset_not_in_chart", "account_not_found", "assert free:1 1 on=2026-02-01 asset={}", "GBP/2", "USD/2"),
    (
        "account_not_found",
        "asset_not_allowed",
        "post / Dr vault 5 / Cr cash 5 ; assert {} 1 on=2026-02-01 asset=EUR/2",
        "free:1",
        "vault",
    ),
    ("effective_before_original", "unbalanced", "reverse 2 2 1 {}", "at=-1", ""),
    ("unbalanced", "asset_not_in_chart", "post / Dr cash 5 GBP/2 / Cr cash {} GBP/2", "6", "5"),
    (
        "asset_not_in_chart",
        "account_not_in_chart",
        "post / Dr nowhere 5 / Cr cash 5 / Dr cash 5 {0} / Cr cash 5 {0}",
        "GBP/2",
        "USD/2",
    ),
    ("asset_not_in_chart", "account_not_found", "limits free:1 min:{}=0", "GBP/2", "USD/2"),
    (
        "account_not_in_chart",
        "asset_not_allowed",
        "post / Dr vault 5 EUR/2 / Cr {} 5 EUR/2",
        "nowhere",
        "cash",
    ),
    (
        "asset_not_allowed",
        "condition_unknown",
        "post / Dr {} 5 EUR/2 / Cr cash 5 EUR/2 / if free:1 min=0",
        "vault",
        "cash",
    ),
    (
        "condition_unknown",
        "nothing_available",
        "up_to / Dr customers:2 5 / Cr cash 5 / if {} min=0",
        "free:1",
        "cash",
    ),
    (
        "nothing_available",
        "condition_failed",
        "up_to / Dr {} 5 / Cr cash 5 / if cash max=0",
        "customers:2",
        "customers:1",
    ),
    (
        "amount_overflow",
        "insufficient_available",
        "post / Dr customers:2 5 / Cr free:1 5 / Dr cash {0} / Cr free:2 {0}",
        "9223372036854775807",
        "5",
    ),
    (
        "insufficient_available",
        "max_balance_exceeded",
        "post / Dr vault 71 / Dr customers:1 {0} / Cr cash 71 / Cr cash {0}",
        "101",
        "100",
    ),
    (
        "max_balance_exceeded",
        "condition_failed",
        "post / Dr vault {0} / Cr cash {0} / if cash posted min=31",
        "71",
        "70",
    ),
]


@pytest.mark.parametrize(("first", "second", "text", "ill", "cured"), PAIRS)
def test_first_reason_of_the_table_is_the_one_reported(
    first: str, second: str, text: str, ill: str, cured: str
) -> None:
    """With two reasons at once, the one that stands first in the table is given."""
    assert PRECEDENCE[first] < PRECEDENCE[second]
    for filling, code in ((ill, first), (cured, second)):
        commands = text.format(filling).replace(" / ", "\n  ").split(" ; ")
        book("\n".join([*commands, f"! {code}"]))


def test_the_largest_hold_can_be_posted_whole_or_expire() -> None:
    """A hold is refused while the event that ends it would still fit: expiry is never blocked."""

    def held(legs: int) -> Request:
        postings = [
            c.Posting("cash" if side == "debit" else f"free:{'x' * 60}{n}", side, 1, "USD/2")
            for n in range(legs)
            for side in ("debit", "credit")
        ]
        return Request([c.command(c.Transaction(postings=postings, pending=True, timeout_seconds=60))])

    desk = play(BOOK).desk
    now = START + 10**6
    sizes = {}
    for legs in range(60, 250):
        (outcome,) = desk.run([held(legs)], now := now + 1).outcomes[0]
        if not isinstance(outcome, Recorded):
            break
        sizes[outcome.event.seq] = len(desk.bodies[-1])
    assert isinstance(outcome, Refusal)
    assert outcome.rejection.code == "event_too_large"
    assert outcome.rejection.evidence["bytes"] > outcome.rejection.evidence["limit"] == 30_000
    largest = max(sizes, key=lambda seq: sizes[seq])
    (posted,) = desk.run([Request([c.command(c.HoldPosting(), largest)])], now + 1).outcomes[0]
    assert isinstance(posted, Recorded)
    expired = desk.run([], now + 3_600 * 10**6)
    assert len(expired.accepted) == len(sizes) - 1
