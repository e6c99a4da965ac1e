"""The operations on prepaid credits: the methods of the system that they replace, and what it lacked."""

from __future__ import annotations

from typing import Any, Literal

from api import credits
from api.handlers import read
from api.http import NoQuery
from api.operation import DATED, POSTING, Operation
from ledger.credits import commands as use
from ledger.credits import purchase_commands as buy
from ledger.credits.views import CreditBalance, CreditOrder, CreditPackage, CreditTransaction
from ledger.views import Acknowledged
from projections import credit_reads as reads

_CREDITS = "/v1/ledgers/{ledger}/credits"
_POSTED = (*DATED, *POSTING)
_WALLET = ("amount_not_positive", *_POSTED)
_NEW_LOT = ("expires_in_past", "too_many_lots")
_TAKEN = ("insufficient_credits",)
_LIMITED = ("usage_limit_exceeded",)
_HOLD = ("credit_hold_not_open", *_POSTED)
_ORDER = ("order_not_found", *_POSTED)
_PAID = (*_ORDER, "order_not_fulfilled", "nothing_bought", "already_recorded")


def _asked(
    path: str,
    id: str,
    summary: str,
    body: type,
    codes: tuple[str, ...],
    *,
    description: str = "",
    scope: Literal["ledger:write", "ledger:admin"] = "ledger:write",
    handler: Any = credits.transaction,
    answer: type = CreditTransaction,
    status: int = 201,
    method: Literal["POST", "PUT"] = "POST",
) -> Operation:
    return Operation(
        method,
        _CREDITS + path,
        id,
        summary,
        description=description,
        tag="Credits",
        scope=scope,
        handler=handler,
        body=body,
        answer=answer,
        status=status,
        codes=codes,
    )


def _read(
    path: str,
    id: str,
    summary: str,
    function: Any,
    answer: type,
    query: type[Any] = NoQuery,
    codes: tuple[str, ...] = (),
    description: str = "",
) -> Operation:
    return Operation(
        "GET",
        _CREDITS + path,
        id,
        summary,
        description=description,
        tag="Credits",
        scope="ledger:read",
        handler=read(function),
        query=query,
        answer=answer,
        codes=codes,
    )


def _on_order(path: str, id: str, summary: str, body: type, codes: tuple[str, ...], **more: Any) -> Operation:
    more = {"scope": "ledger:write", **more}
    return _asked(path, id, summary, body, codes, handler=credits.order, answer=CreditOrder, **more)


CREDIT_OPERATIONS: tuple[Operation, ...] = (
    _read("/balances", "get_all_balances", "An owner's wallets", credits.get_balances, reads.CreditBalances,
          credits.OwnerQuery),
    _read("/balance", "get_balance", "A wallet", credits.get_balance, CreditBalance, credits.WalletQuery,
          description="One indexed read, never from a cache."),
    _read("/check", "check_balance", "Whether a wallet has enough", credits.check_balance, reads.CreditCheck,
          credits.CheckQuery),
    _asked("/add", "add_credits", "Grant credits", use.AddCredits, (*_WALLET, *_NEW_LOT)),
    _asked("/deduct", "deduct_credits", "Use credits", use.DeductCredits, (*_WALLET, *_TAKEN, *_LIMITED),
           description="Lots are used by priority, earliest expiry, given before bought, age."),
    _asked("/refund", "refund_credits", "Take a use of credits back", use.RefundCredits,
           (*_POSTED, "usage_not_found", "usage_already_refunded", "purchase_refunded", "too_many_lots",
            "effective_before_original"),
           description="Whole and once; exactly what was taken from each lot returns to it."),
    _asked("/adjust", "adjust_credits", "Correct a balance by hand", use.AdjustCredits,
           (*_POSTED, *_NEW_LOT, *_TAKEN), scope="ledger:admin"),
    _asked("/holds", "hold_credits", "Reserve credits", use.HoldCredits, (*_WALLET, *_TAKEN, *_LIMITED),
           description="The answer's `id` is the hold's number."),
    _asked("/holds/change", "change_credit_hold", "Make a hold larger or later", use.ChangeHold,
           (*_HOLD, *_TAKEN, *_LIMITED)),
    _asked("/holds/capture", "capture_credit_hold", "Use what a hold reserved", use.CaptureHold,
           (*_HOLD, "exceeds_credit_hold")),
    _asked("/holds/release", "release_credit_hold", "End a hold", use.ReleaseHold, _HOLD),
    _read("/transactions", "get_transaction_history", "An owner's transactions, the last first",
          credits.get_history, reads.CreditHistory, credits.HistoryQuery),
    _read("/usage", "get_usage_stats", "What a wallet used and bought in a period", credits.get_usage,
          reads.UsageStats, credits.UsageQuery),
    _read("/metrics", "get_credit_metrics", "Figures of all wallets, popular packages, refund rates",
          credits.get_metrics, reads.CreditMetrics, credits.PeriodQuery),
    _asked("/packages", "create_package", "Offer a package", use.CreatePackage,
           (*DATED, "package_exists", "asset_not_in_chart"), scope="ledger:admin", handler=credits.package,
           answer=CreditPackage),
    _asked("/packages/update", "update_package", "Change a package", use.UpdatePackage,
           (*DATED, "package_not_found", "asset_not_in_chart"), scope="ledger:admin", handler=credits.package,
           answer=CreditPackage, status=200),
    _read("/packages", "get_packages", "Packages", credits.get_packages, credits.Packages,
          credits.PackagesQuery),
    _read("/products", "get_products", "Packages on offer by credit type", credits.get_products,
          credits.Products),
    _on_order("/purchases", "purchase_credits", "Order a package", buy.OrderCredits,
              (*DATED, "package_not_found", "package_not_active", "order_exists"),
              description="What a payment is checked against. Credits are granted when it is fulfilled."),
    _read("/orders/{order}", "get_order", "An order", credits.get_order, CreditOrder,
          codes=("order_not_found",)),
    _on_order("/orders/fulfil", "fulfil_order", "Grant what was ordered and paid", buy.FulfilOrder,
              (*_ORDER, "order_fulfilled", "payment_differs", "too_many_lots"), scope="ledger:admin",
              description="Once. `amount` less `tax` plus `discount` must be the order's price."),
    _on_order("/orders/decline", "decline_order", "Note that a payment failed", buy.DeclineOrder,
              (*DATED, "order_not_found", "order_not_pending"), scope="ledger:admin", status=200),
    _on_order("/orders/refund", "refund_purchase", "Give money of a purchase back", buy.RefundPurchase,
              (*_PAID, "refund_exceeds_purchase"), scope="ledger:admin"),
    _on_order("/orders/refund/reverse", "reverse_purchase_refund", "Take back a refund that failed",
              buy.ReversePurchaseRefund, (*_PAID, "too_many_lots"), scope="ledger:admin",
              description="What it took comes back. Told first, it keeps the refund from being made."),
    _on_order("/orders/freeze", "freeze_purchase", "Freeze a disputed purchase", buy.FreezePurchase,
              (*_PAID, "purchase_frozen"), scope="ledger:admin"),
    _on_order("/orders/unfreeze", "unfreeze_purchase", "Free a purchase whose dispute was won",
              buy.UnfreezePurchase, (*_PAID, "purchase_not_frozen"), scope="ledger:admin"),
    _on_order("/orders/lose", "lose_dispute", "Book a dispute that was lost", buy.LoseDispute,
              (*_PAID, "refund_exceeds_purchase"), scope="ledger:admin"),
    _asked("/settings", "set_credit_settings", "Set the rules of a credit type", buy.SetCreditSettings, DATED,
           scope="ledger:admin", handler=credits.acknowledged, answer=Acknowledged, status=200, method="PUT"),
    _read("/settings", "get_credit_settings", "The rules of credit types", credits.get_settings,
          reads.CreditSettings),
    _asked("/wallet-settings", "set_wallet_settings", "Set a wallet's top-up", buy.SetWalletSettings,
           (*DATED, "package_not_found", "package_not_active"), handler=credits.acknowledged,
           answer=Acknowledged, status=200, method="PUT"),
)  # fmt: skip
