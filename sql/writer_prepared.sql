-- What the writer runs in every batch, prepared once a connection: to parse and plan it took a third of a millisecond a
-- batch. Plans are generic and scan no table, so they stay right while a table grows.

-- name: lock_head
PREPARE lock_head (integer) AS
SELECT incarnation, seq, recorded_at, root, frontier, accounts, chart_seq, next_expiry
  FROM daybook.heads WHERE ledger_id = $1 FOR UPDATE;

-- name: clock
PREPARE clock AS
SELECT clock_timestamp();

-- name: load_keys
-- One probe of the primary key for each: `= ANY` plans badly while the table is young.
PREPARE load_keys (integer, text) AS
SELECT k.key, k.fingerprint, k.seq, k.events, k.rejections
  FROM unnest(string_to_array($2, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.idempotency_keys WHERE ledger_id = $1 AND key = wanted OFFSET 0) k;

-- name: load_accounts
-- A row for each asset of each account; one with a null asset_id for an account never used.
PREPARE load_accounts (integer, text) AS
SELECT a.account_id, a.address, a.opened_seq, a.closed_seq, a.terms, b.asset_id,
       b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending, b.version
  FROM unnest(string_to_array($2, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.accounts WHERE ledger_id = $1 AND address = wanted OFFSET 0) a
  LEFT JOIN LATERAL (
    SELECT * FROM daybook.balances WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b ON true;

-- name: load_subjects
-- Streams that exist; a plain transaction has none.
PREPARE load_subjects (integer, text) AS
SELECT s.state, s.state_version
  FROM unnest(string_to_array($2, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.streams WHERE ledger_id = $1 AND stream = wanted OFFSET 0) s;

-- name: load_streams
PREPARE load_streams (integer, text) AS
SELECT s.stream, s.version, s.state_version, s.state
  FROM unnest(string_to_array($2, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.streams WHERE ledger_id = $1 AND stream = wanted OFFSET 0) s;

-- name: upsert_subjects
PREPARE upsert_subjects (integer, smallint, integer[], bigint[], text, text) AS
INSERT INTO daybook.streams (ledger_id, version, last_seq, state_version, kind, stream, state)
SELECT $1, v, s, $2, 'transaction', n, t
  FROM unnest($3, $4, string_to_array($5, E'\n'),
              string_to_array($6, E'\n')) AS r (v, s, n, t)
    ON CONFLICT (ledger_id, stream) DO UPDATE
   SET version = excluded.version, last_seq = excluded.last_seq, state_version = excluded.state_version, state = excluded.state;

-- name: upsert_streams
PREPARE upsert_streams (integer, smallint[], integer[], bigint[], timestamptz[], text, text, text) AS
INSERT INTO daybook.streams (ledger_id, version, last_seq, state_version, kind, stream, state, due_at)
SELECT $1, v, s, sv, k, n, t, d
  FROM unnest($2, $3, $4, $5, string_to_array($6, E'\n'), string_to_array($7, E'\n'),
              string_to_array($8, E'\n')) AS r (sv, v, s, d, k, n, t)
    ON CONFLICT (ledger_id, stream) DO UPDATE
   SET version = excluded.version, last_seq = excluded.last_seq, state_version = excluded.state_version, state = excluded.state,
       due_at = excluded.due_at;

-- name: delete_holds
PREPARE delete_holds (integer, timestamptz[], bigint[]) AS
DELETE FROM daybook.holds
 USING unnest($2, $3) AS gone (expires_at, seq)
 WHERE holds.ledger_id = $1 AND holds.expires_at = gone.expires_at AND holds.seq = gone.seq;

-- name: upsert_balances
-- Parameters in the order of the columns: the batch has them as array literals.
PREPARE upsert_balances (integer, bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[],
                         bigint[], integer[], integer[], boolean[]) AS
INSERT INTO daybook.balances (ledger_id, debits_posted, credits_posted, debits_pending, credits_pending, last_seq, version,
                              min_available, max_balance, account_id, asset_id, debit_normal)
SELECT $1, *
  FROM unnest($2, $3, $4, $5, $6, $7, $8,
              $9, $10, $11, $12)
    ON CONFLICT (ledger_id, account_id, asset_id) DO UPDATE
   SET debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
       debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
       last_seq = excluded.last_seq, version = excluded.version,
       min_available = excluded.min_available, max_balance = excluded.max_balance;

-- name: update_head
-- previous_seq becomes -1, which the trigger `moves_forward` refuses at once, if the head is not the one that the
-- batch was decided on, or (tolerance, in microseconds) if the clock was not the one that it was decided by.
PREPARE update_head (integer, integer, bigint, timestamptz, bytea, bytea, integer, bigint, timestamptz,
                     integer, bigint, bytea, timestamptz, bigint) AS
UPDATE daybook.heads
   SET previous_seq = CASE WHEN (incarnation, seq, root) <> ($10, $11, $12) THEN -1
                           WHEN abs(extract(epoch FROM clock_timestamp() - $13)) * 1000000 > $14 THEN -1
                           WHEN seq < $3 THEN seq
                           ELSE previous_seq END,
       incarnation = $2, seq = $3, recorded_at = $4, root = $5, frontier = $6,
       accounts = $7, chart_seq = $8, next_expiry = $9
 WHERE ledger_id = $1;
