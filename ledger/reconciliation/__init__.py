"""Reconciliation: what the ledger says beside what somebody outside says of the same.

Two sides, here and there, are compared item by item by rules in an order; what does not match is kept until
somebody resolves it. The engine knows no side: readers of statements and of the ledger make the items.

Read items, sorting, matching.
"""
