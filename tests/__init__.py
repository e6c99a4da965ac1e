"""The tests: real PostgreSQL, an oracle and an audit that share no code with the ledger."""
