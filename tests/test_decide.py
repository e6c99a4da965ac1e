"""The rules of the ledger one by one, in the accountant's notation.

tests/journal.py tells how to read it, and has the `BOOK` that every journal here goes on from: 1 is the
opening, 2 a deposit of 100 by customer 1.
"""

from __future__ import annotations

import json

import pytest

from tests.journal import book

# ---------------------------------------------------------------- holds


def test_hold_reserves_and_moves_nothing() -> None:
    """A held debit lowers what a liability has available; its posted balance stays."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        = customers:1  posted=100  pending=60  available=60
        = cash         posted=100  pending=60  available=60
    """)


def test_held_credit_is_not_available_before_it_is_posted() -> None:
    """Money that may come cannot be spent."""
    book("""
        hold
          Dr cash         40
          Cr customers:1  40
        = customers:1  posted=100  pending=140  available=100
        post
          Dr customers:1  101
          Cr cash         101
        ! insufficient_available  available=100 held=0 short_by=1
    """)


def test_parts_of_a_hold_post_until_nothing_is_left() -> None:
    """Each part moves its amount from pending to posted; the last one ends the hold."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        part 3 15 15
        = customers:1  posted=85  available=60  dr_pending=25
        part 3 25 25
        = customers:1  posted=60  available=60  dr_pending=0
        void 3
        ! hold_already_posted  ended_by=5
    """)


def test_final_part_releases_the_rest() -> None:
    """What a final part leaves is available again."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        final 3 15 15
        = customers:1  posted=85  available=85
        whole 3
        ! hold_already_posted
    """)


def test_part_of_a_hold_with_legs_alike_takes_from_the_leg_that_was_named() -> None:
    """Two legs with the same account and side keep their own remainders, also when folded from the events."""
    journal = book("""
        hold
          Dr customers:1  10
          Dr customers:1  10
          Cr cash         20
        part 3 0 10 10
        part 3 0 1 1
        ! exceeds_remaining  leg=1 remaining=0 amount=1
    """)
    journal.desk.forget()
    journal.play("""
        part 3 0 1 1
        ! exceeds_remaining  leg=1 remaining=0 amount=1
        part 3 10 0 10
        void 3
        ! hold_already_posted  ended_by=5
    """)


def test_void_releases_all_that_is_left() -> None:
    """After a part and a void, the part stays posted and the rest is free."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        part 3 15 15
        void 3
        = customers:1  posted=85  available=85  version=4
    """)


def test_hold_expires_at_its_time_and_counts_then() -> None:
    """At its time-out, not a microsecond before, a hold is released, effective at that moment."""
    journal = book("""
        hold timeout=60
          Dr customers:1  40
          Cr cash         40
        wait 59.999998
        annotate 2
        = customers:1  available=60
        annotate 2
        = customers:1  available=100
        whole 3
        ! hold_already_expired  seq=3 ended_by=5
    """)
    expired = json.loads(journal.desk.bodies[4])
    assert expired["type"] == "hold_expired"
    assert expired["effective_at"] == json.loads(journal.desk.bodies[2])["data"]["expires_at"]


def test_due_holds_expire_in_the_order_of_their_times() -> None:
    """Several due holds end by (expires_at, seq), before anything else is decided."""
    journal = book("""
        hold timeout=9
          Dr customers:1  10
          Cr cash         10
        hold timeout=5
          Dr customers:1  10
          Cr cash         10
        hold timeout=5
          Dr customers:1  80
          Cr cash         80
        wait 60
        post
          Dr customers:1  100
          Cr cash         100
    """)
    assert [json.loads(b)["data"].get("transaction") for b in journal.desk.bodies[5:8]] == [4, 5, 3]


def test_posting_a_hold_cannot_break_a_bound_that_placing_it_kept() -> None:
    """Pending amounts count pessimistically on both sides, so whatever order they end in, bounds hold."""
    book("""
        hold
          Dr till:1   90
          Cr cash     90
        hold
          Dr cash      5
          Cr till:1    5
        post
          Dr till:1   11
          Cr cash     11
        ! max_balance_exceeded  balance=0 held=90 over_by=1
        post
          Dr cash      6
          Cr till:1    6
        ! insufficient_available  available=-5 held=5 short_by=1
        whole 3
        whole 4
        = till:1  posted=85
    """)


# ---------------------------------------------------------------- reversals


def test_whole_reversal_is_the_opposite() -> None:
    """Balances are as before, and both entries stay."""
    book("""
        reverse 2
        = customers:1  posted=0  dr=100  cr=100
        reverse 2
        ! already_reversed  ended_by=3
    """)


def test_reversals_in_part_never_exceed_the_transaction() -> None:
    """Parts add up to the whole and no further."""
    book("""
        reverse 2 30 30
        reverse 2 71 71
        ! exceeds_remaining  leg=0 remaining=70 amount=71
        reverse 2 70 70
        = customers:1  posted=0
        reverse 2 1 1
        ! already_reversed  ended_by=4
    """)


def test_reversal_without_amounts_takes_what_is_left() -> None:
    """After a part, a whole reversal is of the rest."""
    book("""
        reverse 2 30 30
        reverse 2
        = customers:1  posted=0
    """)


def test_reversal_obeys_bounds() -> None:
    """Money that was spent cannot be taken back from an account that may not go below zero."""
    book("""
        post
          Dr customers:1  30
          Cr cash         30
        reverse 2
        ! insufficient_available  available=70 short_by=30
        reverse 2 70 70
    """)


def test_part_of_a_hold_is_reversed_as_a_transaction_of_its_own() -> None:
    """A posted part can be reversed; the hold cannot; a reversal cannot; what it left is not given back."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        part 3 15 15
        reverse 3
        ! reversal_of_hold  seq=3
        reverse 4
        = customers:1  posted=100  available=75
        reverse 5
        ! reversal_of_reversal  seq=5
    """)


# ---------------------------------------------------------------- limits, sides, contra


@pytest.mark.parametrize("held", ["post", "hold"])
def test_minimum_binds_the_other_side(held: str) -> None:
    """A debit account at its minimum takes no credit, a credit account no debit, posted or held."""
    book(f"""
        {held}
          Cr till:1       11
          Dr cash         11
        ! insufficient_available  account=till:1 min_available=-10 available=0 short_by=1
        {held}
          Dr customers:1  101
          Cr cash         101
        ! insufficient_available  account=customers:1 min_available=0 available=100 short_by=1
        {held}
          Cr till:1       10
          Dr customers:1  10
    """)


@pytest.mark.parametrize("held", ["post", "hold"])
def test_maximum_binds_the_normal_side(held: str) -> None:
    """The maximum of a contra income account, whose normal side is debit, binds its debits."""
    book(f"""
        {held}
          Dr refunds      51
          Cr cash         51
        ! max_balance_exceeded  account=refunds max_balance=50 balance=0 held=0 over_by=1
        {held}
          Dr refunds      50
          Cr cash         50
        post
          Cr refunds      5
          Dr cash         5
    """)


def test_contra_account_grows_on_the_opposite_side() -> None:
    """A debit raises contra income."""
    book("""
        post
          Dr refunds      20
          Cr customers:1  20
        = refunds  posted=20  available=20
    """)


def test_own_limits_of_an_asset_replace_those_of_every_asset() -> None:
    """Limits named for an asset stand instead of `*`, not beside it."""
    book("""
        limits till:1 max=5
        ! account_not_found
        open till:1
        limits till:1 max=5 min:EUR/2=-3
        post
          Dr till:1  6 EUR/2
          Cr fx      6 EUR/2
        post
          Cr till:1  1000
          Dr cash    1000
        post
          Dr till:1  1006
          Cr cash    1006
        ! max_balance_exceeded  max_balance=5
    """)


def test_new_limits_count_what_is_pending() -> None:
    """Limits that the account is outside of in the worst case are refused; others bind at once."""
    book("""
        hold
          Dr customers:1  40
          Cr cash         40
        hold
          Dr cash         25
          Cr customers:1  25
        limits customers:1 min=61
        ! limit_already_exceeded  posted=100 pending=85 available=60
        limits customers:1 max=124
        ! limit_already_exceeded  posted=100
        limits customers:1 min=60 max=125
        post
          Dr cash         1
          Cr customers:1  1
        ! max_balance_exceeded  balance=100 held=25 over_by=1
    """)


def test_legs_of_one_transaction_are_checked_together() -> None:
    """Only the balance after the whole transaction counts."""
    book("""
        post
          Dr customers:2  50
          Cr cash         50
          Dr cash         80
          Cr customers:2  80
        = customers:2  posted=30
    """)


# ---------------------------------------------------------------- up_to


def test_up_to_moves_what_both_sides_have_room_for() -> None:
    """The least of the amount asked and the room of both accounts, pending counted."""
    book("""
        hold
          Dr customers:1  30
          Cr cash         30
        up_to
          Dr customers:1  99999
          Cr customers:2  99999
        = customers:2  posted=70
        = customers:1  posted=30  available=0
        up_to
          Dr vault   99
          Cr cash    99
        = vault  posted=70
    """)


def test_up_to_leaves_the_amount_when_there_is_room() -> None:
    """Enough room: as asked, and the event holds what was asked."""
    journal = book("""
        held_up_to
          Dr customers:1  60
          Cr customers:2  60
        = customers:1  posted=100  available=40
    """)
    assert json.loads(journal.desk.bodies[-1])["data"]["up_to"] == "60"


@pytest.mark.parametrize(("verb", "filled"), [("up_to", "post"), ("held_up_to", "hold")])
def test_up_to_stops_at_64_bits_of_the_counter_that_it_adds_to(verb: str, filled: str) -> None:
    """A counter that the transaction does not touch takes no room away."""
    other = {"post": "hold", "hold": "post"}[filled]
    book(f"""
        {other}
          Dr free:1  9223372036854775000
          Cr free:2  9223372036854775000
        {filled}
          Dr free:1  9223372036854775800
          Cr free:2  9223372036854775800
        {verb}
          Dr free:1  99
          Cr free:2  99
        {verb}
          Dr free:1  99
          Cr free:2  99
        ! nothing_available  asked=99
    """)


# ---------------------------------------------------------------- assets, conditions, size


def test_exchange_goes_through_position_accounts() -> None:
    """Each asset balances by itself; one transaction moves both."""
    book("""
        post
          Dr customers:1  50 USD/2
          Cr fx           50 USD/2
          Dr fx           45 EUR/2
          Cr customers:2  45 EUR/2
        = customers:1  posted=50
        = customers:2  asset=EUR/2  posted=45
        = fx           posted=50
        = fx           asset=EUR/2  posted=-45
    """)


def test_each_asset_balances_by_itself() -> None:
    """Two assets whose sums only cancel out across assets are unbalanced."""
    book("""
        post
          Dr cash  5 USD/2
          Cr fx    5 EUR/2
        ! unbalanced  asset=USD/2 debits=5 credits=0
    """)


def test_conditions_see_the_balance_after_and_the_version_before() -> None:
    """Bounds are inclusive; a version is the number of events that touched the account's asset."""
    book("""
        post
          Dr customers:1  10
          Cr cash         10
          if customers:1 posted min=90 max=90 version=1
        post
          Dr customers:1  10
          Cr cash         10
          if customers:1 posted min=81
        ! condition_failed  condition=0 balance=posted actual=80
        post
          Dr customers:1  10
          Cr cash         10
          if customers:1 available max=80
          if customers:1 version=1
        ! condition_failed  condition=1 balance=version actual=2
        hold
          Dr customers:1  10
          Cr cash         10
          if customers:1 pending max=80
          if customers:1 posted min=90
          if customers:1 available max=80
          if cash asset=EUR/2 version=0 max=0
    """)


def test_condition_speaks_of_an_account_that_the_transaction_opens() -> None:
    """An account opened by the transaction counts with its new balance."""
    book("""
        post
          Dr cash         7
          Cr customers:5  7
          if customers:5 posted min=7 max=7 version=0
    """)


def test_counter_never_leaves_64_bits() -> None:
    """The largest amount fits; one more is refused, posted or when a hold is posted, and can be voided."""
    book("""
        hold
          Dr free:1  9223372036854775807
          Cr free:2  9223372036854775807
        post
          Dr free:1  1
          Cr free:2  1
        hold
          Dr free:1  1
          Cr free:3  1
        ! amount_overflow  account=free:1 asset=USD/2
        whole 3
        ! amount_overflow  account=free:1
        void 3
        = free:1  dr=1  dr_pending=0
    """)


# ---------------------------------------------------------------- time


def test_transaction_may_count_in_the_past_but_not_in_the_future() -> None:
    """`effective_at` is at most the ledger's clock."""
    book("""
        post at=-1000000000
          Dr cash         5
          Cr customers:1  5
        post at=0
          Dr cash         5
          Cr customers:1  5
        post at=0.000001
          Dr cash         5
          Cr customers:1  5
        ! effective_at_in_future  effective_at=@0.000006 now=@0.000005
    """)


def test_parts_and_reversals_do_not_count_before_their_original() -> None:
    """A part, a void or a reversal is effective at the original's moment or later."""
    book("""
        hold at=-10
          Dr customers:1  40
          Cr cash         40
        part 3 1 1 at=-10.000002
        ! effective_before_original  effective_at=@-9.999998 transaction_effective_at=@-9.999997
        part 3 1 1 at=-10.000002
        void 3 at=-11
        ! effective_before_original  transaction_effective_at=@-9.999997
        reverse 4 at=-11
        ! effective_before_original
        reverse 4 at=-9
    """)


# ---------------------------------------------------------------- chart, opening, closing


def test_account_opens_with_the_terms_of_its_pattern_and_keeps_them() -> None:
    """A new chart changes accounts that open later, never those that are open."""
    book("""
        chart USD/2
          customers:{n}   liability  min=-50
          cash            asset
        post
          Dr customers:1  101
          Cr cash         101
        ! insufficient_available  min_available=0
        post
          Dr customers:2  50
          Cr cash         50
    """)


def test_capture_stands_for_one_segment() -> None:
    """An address with more or fewer segments than the pattern is not of it."""
    book("""
        open customers:1:savings
        ! account_not_in_chart  account=customers:1:savings
        open customers
        ! account_not_in_chart
        open customers:2
        open customers:2
        ! account_exists  opened_seq=3
    """)


def test_account_closes_when_it_is_empty_and_takes_nothing_more() -> None:
    """No balance and no hold on either side in any asset; afterwards every posting is refused."""
    book("""
        close cash
        ! account_not_empty  posted=100
        hold
          Dr free:1  5
          Cr free:2  5
        close free:2
        ! account_not_empty  posted=0 debits_pending=0 credits_pending=5
        close free:1
        ! account_not_empty  posted=0 debits_pending=5 credits_pending=0
        void 3
        close free:2
        close free:2
        ! account_closed  closed_seq=5
        post
          Dr free:1  5
          Cr free:2  5
        ! account_closed  account=free:2
        open free:2
        ! account_closed
    """)
