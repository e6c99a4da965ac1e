"""Vouchers: a sponsor's money, promised to beneficiaries by codes, paid out by agents, merchants and wallets.

A *programme* holds a sponsor's money in a trust bank account and owes it: first to the sponsor (its fund),
then, once a voucher is issued, to the beneficiary (the voucher liability), then to whoever paid the
beneficiary out (the payee), until that is settled from the trust account. So the trust account holds at every
step the liability, what is not settled, and the fund (docs/postings.md shows every entry).

Read accounts, commands, streams, programmes, vouchers, beneficiaries; codes stands apart.
"""

from __future__ import annotations

from ledger.product import Kind, Product
from ledger.vouchers import beneficiaries, programmes, vouchers
from ledger.vouchers import commands as c
from ledger.vouchers.accounts import CONTROLLED, PATTERNS
from ledger.vouchers.needs import needs
from ledger.vouchers.streams import (
    Beneficiary,
    Code,
    Programme,
    Voucher,
    evolve_beneficiary,
    evolve_code,
    evolve_programme,
    evolve_voucher,
    voucher_claims,
    voucher_due,
)

PRODUCT = Product(
    name="vouchers",
    kinds={
        "programme": Kind(Programme, 1, evolve_programme),
        "voucher": Kind(Voucher, 1, evolve_voucher, voucher_due, voucher_claims),
        "beneficiary": Kind(Beneficiary, 1, evolve_beneficiary),
        "code": Kind(Code, 1, evolve_code),
    },
    deciders={
        c.BeneficiaryRegistration: beneficiaries.register,
        c.BeneficiaryErasure: beneficiaries.erase,
        c.ProgrammeOpening: programmes.open_programme,
        c.Funding: programmes.fund,
        c.Return: programmes.return_funds,
        c.Fee: programmes.charge_fee,
        c.FeePayment: programmes.pay_fee,
        c.Settlement: programmes.settle,
        c.Issue: vouchers.issue,
        c.Distribution: vouchers.distribute,
        c.Delivery: vouchers.deliver,
        c.Redemption: vouchers.redeem,
        c.Expiry: vouchers.expire,
        c.Cancellation: vouchers.cancel,
        c.Failure: vouchers.fail,
        c.Reissue: vouchers.reissue,
    },
    needs=needs,
    due=vouchers.fall_due,
    patterns=PATTERNS,
    controlled=CONTROLLED,
)
