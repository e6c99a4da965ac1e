"""Subscriptions: a ledger's events sent to others as signed webhooks. The event log is the outbox.

A subscription is a checkpoint on the log. `courier` takes events beyond it as messages, a bounded number at
a time, and sends them; a row of `projections.messages` is one that has not been delivered yet. `schedule`
says when a failed one is tried again, `signing` how it is signed, `sending` how it travels, `addresses` where
it may go, `subscriptions` what people do with all this. Secrets are stored by `ledger.vault`.
"""
