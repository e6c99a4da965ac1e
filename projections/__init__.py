"""Read models built from the event log (none yet); they may import `ledger`, and nothing beside it."""
