"""Translations of webhooks into commands (none yet); they may import `ledger`, and nothing beside it."""
