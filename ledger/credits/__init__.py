"""Prepaid credits: wallets of lots, what is offered, and purchases (docs/credits.md).

Read in this order: lots, wallet, change, streams, accounts, commands, purchase_commands; then the deciders
using, holding, lapsing, offering and purchasing, which share `deciding`; then `product`.
"""
