-- What the writer runs. Lists come as array literals of numbers or as lines of text, which are cheap to build.
-- Everything between `lock_head` and the commit is one READ COMMITTED transaction; the
-- loads are statements after the lock, because a statement that waited for it would read from before the wait.

-- name: lock_head
-- Four statements in one message. The clock is read by one of its own: inside the SELECT that locks, it could
-- be read before the wait.
BEGIN;
SELECT set_config('daybook.ledger_id', %(ledger_id)s::text, true);
SELECT incarnation, seq, recorded_at, root, frontier, accounts, chart_seq, next_expiry
  FROM daybook.heads WHERE ledger_id = %(ledger_id)s FOR UPDATE;
SELECT clock_timestamp();

-- name: terminate_stalled
-- Ends the backend that holds a head's lock in a transaction older than 10 seconds. The holder's
-- transaction id stands in the row that it locked or changed.
SELECT pg_terminate_backend(a.pid)
  FROM daybook.heads h JOIN pg_stat_activity a ON a.backend_xid = h.xmax
 WHERE h.ledger_id = %(ledger_id)s AND a.pid <> pg_backend_pid()
   AND a.xact_start < clock_timestamp() - interval '10 seconds';

-- name: find_ledger
SELECT ledger_id, public_id::text FROM daybook.ledgers WHERE name = %(name)s;

-- name: reserve_ledger
-- The name and the head row, before the event that opens the ledger.
WITH reserved AS (
    INSERT INTO daybook.ledgers (name, public_id) VALUES (%(name)s, %(public_id)s)
    ON CONFLICT (name) DO NOTHING RETURNING ledger_id
)
SELECT ledger_id, set_config('daybook.ledger_id', ledger_id::text, true) FROM reserved;

-- name: insert_head
INSERT INTO daybook.heads (ledger_id, seq, previous_seq, recorded_at, root, frontier, accounts, chart_seq)
VALUES (%(ledger_id)s, 0, 0, 'epoch', sha256(''), '', 0, 0);

-- name: mark_opened
UPDATE daybook.ledgers SET opened_at = %(opened_at)s, time_zone = %(time_zone)s WHERE ledger_id = %(ledger_id)s;

-- name: load_keys
-- One probe of the primary key for each: `= ANY` plans badly while the table is young.
SELECT k.key, k.fingerprint, k.seq, k.events, k.rejections
  FROM unnest(string_to_array(%(keys)s, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.idempotency_keys WHERE ledger_id = %(ledger_id)s AND key = wanted OFFSET 0) k;

-- name: load_accounts
-- A row for each asset of each account; one with a null asset_id for an account never used.
SELECT a.account_id, a.address, a.opened_seq, a.closed_seq, a.terms, b.asset_id,
       b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending, b.version
  FROM unnest(string_to_array(%(addresses)s, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.accounts WHERE ledger_id = %(ledger_id)s AND address = wanted OFFSET 0) a
  LEFT JOIN LATERAL (
    SELECT * FROM daybook.balances WHERE ledger_id = %(ledger_id)s AND account_id = a.account_id OFFSET 0) b ON true;

-- name: load_subjects
-- Streams that exist; a plain transaction has none.
SELECT s.state, s.state_version
  FROM unnest(string_to_array(%(streams)s, E'\n')) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.streams WHERE ledger_id = %(ledger_id)s AND stream = wanted OFFSET 0) s;

-- name: load_bodies
SELECT e.seq, e.body
  FROM unnest(%(seqs)s::bigint[]) AS wanted
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = wanted OFFSET 0) e;

-- name: load_chart
-- The body of the event that set the chart in force, and every asset of the ledger with its number.
SELECT (SELECT body FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = %(chart_seq)s),
       (SELECT coalesce(array_agg(asset ORDER BY asset_id), '{}') FROM daybook.assets WHERE ledger_id = %(ledger_id)s);

-- name: load_periods
-- The ledger's time zone and its closed periods: one row with nulls when there is none.
SELECT l.time_zone, p.period, p.starts_at, p.ends_at, p.seq
  FROM daybook.ledgers l LEFT JOIN daybook.closed_periods p USING (ledger_id) WHERE l.ledger_id = %(ledger_id)s;

-- name: due_holds
SELECT seq, expires_at FROM daybook.holds
 WHERE ledger_id = %(ledger_id)s ORDER BY ledger_id, expires_at, seq LIMIT %(limit)s;

-- name: due_ledgers
SELECT l.name FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id)
 WHERE h.next_expiry <= clock_timestamp() ORDER BY h.next_expiry LIMIT 1000;

-- name: update_head
UPDATE daybook.heads
   SET previous_seq = CASE WHEN seq < %(seq)s THEN seq ELSE previous_seq END,
       incarnation = %(incarnation)s, seq = %(seq)s, recorded_at = %(recorded_at)s, root = %(root)s, frontier = %(frontier)s,
       accounts = %(accounts)s, chart_seq = %(chart_seq)s, next_expiry = %(next_expiry)s
 WHERE ledger_id = %(ledger_id)s;

-- name: insert_accounts
INSERT INTO daybook.accounts (ledger_id, account_id, opened_seq, address, terms)
SELECT %(ledger_id)s, *
  FROM unnest(%(ids)s::integer[], %(seqs)s::bigint[], string_to_array(%(addresses)s, E'\n'), string_to_array(%(terms)s, E'\n'));

-- name: insert_assets
INSERT INTO daybook.assets (ledger_id, asset_id, asset)
SELECT %(ledger_id)s, * FROM unnest(%(ids)s::integer[], string_to_array(%(assets)s, E'\n'));

-- name: set_account_terms
UPDATE daybook.accounts SET terms = %(terms)s WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s;

-- name: close_account
UPDATE daybook.accounts SET closed_seq = %(seq)s WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s;

-- name: upsert_balances
-- Parameters in the order of the columns: the batch has them as array literals.
INSERT INTO daybook.balances (ledger_id, debits_posted, credits_posted, debits_pending, credits_pending, last_seq, version,
                              min_available, max_balance, account_id, asset_id, debit_normal)
SELECT %s, *
  FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
              %s::bigint[], %s::integer[], %s::integer[], %s::boolean[])
    ON CONFLICT (ledger_id, account_id, asset_id) DO UPDATE
   SET debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
       debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
       last_seq = excluded.last_seq, version = excluded.version,
       min_available = excluded.min_available, max_balance = excluded.max_balance;

-- name: upsert_streams
INSERT INTO daybook.streams (ledger_id, version, last_seq, state_version, kind, stream, state)
SELECT %(ledger_id)s, v, s, %(state_version)s, 'transaction', n, t
  FROM unnest(%(versions)s::integer[], %(seqs)s::bigint[], string_to_array(%(streams)s, E'\n'),
              string_to_array(%(states)s, E'\n')) AS r (v, s, n, t)
    ON CONFLICT (ledger_id, stream) DO UPDATE
   SET version = excluded.version, last_seq = excluded.last_seq, state_version = excluded.state_version, state = excluded.state;

-- name: delete_holds
DELETE FROM daybook.holds
 USING unnest(%(expiries)s::timestamptz[], %(seqs)s::bigint[]) AS gone (expires_at, seq)
 WHERE holds.ledger_id = %(ledger_id)s AND holds.expires_at = gone.expires_at AND holds.seq = gone.seq;

-- name: delete_closed_periods
DELETE FROM daybook.closed_periods
 WHERE ledger_id = %(ledger_id)s AND period = ANY (string_to_array(%(periods)s, E'\n'));

-- name: insert_closed_period
INSERT INTO daybook.closed_periods (ledger_id, seq, starts_at, ends_at, period)
VALUES (%(ledger_id)s, %(seq)s, %(starts_at)s, %(ends_at)s, %(period)s);

-- name: commit
COMMIT;

-- name: leaves
-- What is stored of a batch, to learn whether a commit whose answer was lost took place.
SELECT leaf FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq BETWEEN %(first)s AND %(last)s ORDER BY seq;

-- name: copy_events
COPY daybook.events (seq, effective_at, recorded_at, ledger_id, legs, type, leaf, body) FROM STDIN (FORMAT binary);

-- name: copy_postings
COPY daybook.postings (seq, amount, effective_at, debits_posted, credits_posted, debits_pending, credits_pending,
                       ledger_id, account_id, asset_id, leg, kind) FROM STDIN (FORMAT binary);

-- name: copy_event_streams
COPY daybook.event_streams (ledger_id, seq, version, stream) FROM STDIN (FORMAT binary);

-- name: copy_endings
COPY daybook.endings (ledger_id, seq, stream) FROM STDIN (FORMAT binary);

-- name: copy_holds
COPY daybook.holds (ledger_id, expires_at, seq) FROM STDIN (FORMAT binary);

-- name: copy_idempotency_keys
COPY daybook.idempotency_keys (ledger_id, events, seq, fingerprint, key, rejections) FROM STDIN (FORMAT binary);
