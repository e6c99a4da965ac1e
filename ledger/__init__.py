"""The ledger: what is true of every Daybook ledger at every moment, and who keeps it true.

1. Balanced. In every event, for every asset and kind of leg, debits equal credits.
   Kept by `entry.check_balanced` and the trigger `balanced`.
   Attacked by tests/test_state_machine.py, tests/test_guards.py.
2. Immutable. A stored event or posting never changes and never goes; a correction is a new event.
   Kept by the triggers `append_only` and the writer's grants.
   Attacked by tests/test_guards.py, tests/test_isolation.py.
3. Contiguous. In a ledger, seq runs 1..head without a gap, in commit order: a reader that has seen n never
   later meets a new event at or below n. Kept by the head row's lock and the triggers `moves_forward`,
   `contiguous` and `kept`. Attacked by tests/test_guards.py, tests/test_concurrency.py.
4. Exactly once. One idempotency key has at most one effect; a replay answers with the first outcome; the
   same key with another request is refused. What ends once cannot end twice.
   Kept by `batch` and the primary keys of idempotency_keys and endings.
   Attacked by tests/test_writer.py, tests/test_concurrency.py, tests/test_guards.py.
5. Bounded. At every seq no account is beyond its limits; pending amounts count pessimistically, so a later
   post or void never breaks a bound. Kept by `moves.move` and the CHECKs on balances.
   Attacked by tests/test_state_machine.py, tests/test_guards.py.
6. Derivable. Every balance and status at head equals the fold of events 1..head.
   Kept by design: one transaction writes both. Checked by `daybook audit check`; attacked by
   tests/test_state_machine.py, tests/test_audit_check.py, and by tests/audit.py at the end of every load.
7. Durable. Nothing is acknowledged before its commit is flushed; a kill -9 of the API or of PostgreSQL loses
   nothing acknowledged and doubles nothing. Kept by `writer`, which answers after the commit and never
   guesses a lost one. Attacked by tests/test_crash.py, tests/test_commit_in_doubt.py.
8. Provable. The Merkle root at head commits to the exact bytes of every event.
   Kept by `merkle` and the CHECK on events.leaf. Shown to others by `proofs` and `notes`;
   what was shown is kept outside the database by `keeping`, and a database that is another is not served.
   Attacked by tests/test_merkle.py, tests/test_proofs.py, tests/test_restore.py,
   tests/test_guards.py.
9. Isolated. A transaction works for one tenant, writes one ledger of it and sees one ledger of it.
   Kept by the API's gate, the triggers `own_ledger` and row-level security.
   Attacked by tests/test_isolation.py, tests/test_access.py, tests/test_walls.py.

Read in this order: text, periods, chart, commands, rejections, events, merkle, state, decide (with entry,
moves, transactions, accounts, control, product, products), approvals, batch, rows, wire, store, errors, link,
writer; then views, reader, feed, period_reads, closing, guards, proofs, notes, keeping and vault.
Products stand in packages of their own: credits, vouchers, providers, kredit.
"""
