-- What the writer runs; what it EXECUTEs stands in writer_prepared.sql. Lists come as array literals of numbers or as
-- lines of text, which are cheap to build. Everything between `lock_head` and the commit is one READ COMMITTED transaction;
-- the loads are statements after the lock, because a statement that waited for it would read from before the wait.

-- name: lock_head
BEGIN;
SET LOCAL daybook.ledger_id TO %(ledger_id)s;
SET LOCAL daybook.tenant TO %(tenant)s;
EXECUTE lock_head (%(ledger_id)s);

-- name: clock
-- A statement of its own, after `lock_head`: inside the SELECT that locks, it could be read before the wait.
EXECUTE clock;

-- name: terminate_stalled
-- Ends the backend that holds a head's lock in a transaction older than 10 seconds. The holder's
-- transaction id stands in the row that it locked or changed.
SELECT pg_terminate_backend(a.pid)
  FROM daybook.heads h JOIN pg_stat_activity a ON a.backend_xid = h.xmax
 WHERE h.ledger_id = %(ledger_id)s AND a.pid <> pg_backend_pid()
   AND a.xact_start < clock_timestamp() - interval '10 seconds';

-- name: find_ledger
SELECT ledger_id, public_id::text FROM daybook.ledgers WHERE tenant = %(tenant)s AND name = %(name)s;

-- name: reserve_ledger
-- The name and the head row, before the event that opens the ledger.
WITH reserved AS (
    INSERT INTO daybook.ledgers (tenant, name, public_id) VALUES (%(tenant)s, %(name)s, %(public_id)s)
    ON CONFLICT (tenant, name) DO NOTHING RETURNING ledger_id
)
SELECT ledger_id, set_config('daybook.ledger_id', ledger_id::text, true), set_config('daybook.tenant', %(tenant)s, true)
  FROM reserved;

-- name: insert_head
INSERT INTO daybook.heads (ledger_id, seq, previous_seq, recorded_at, root, frontier, accounts, chart_seq)
VALUES (%(ledger_id)s, 0, 0, 'epoch', sha256(''), '', 0, 0);

-- name: mark_opened
UPDATE daybook.ledgers SET opened_at = %(opened_at)s, time_zone = %(time_zone)s WHERE ledger_id = %(ledger_id)s;

-- name: load_keys
EXECUTE load_keys (%(ledger_id)s, %(keys)s);

-- name: load_accounts
EXECUTE load_accounts (%(ledger_id)s, %(addresses)s);

-- name: first_taken
-- An account that a product is to have to itself, and that somebody else has opened: it looks at every account, once in a ledger's life.
SELECT address FROM daybook.accounts
 WHERE ledger_id = %(ledger_id)s AND address ~ ANY (string_to_array(%(patterns)s, E'\n')) AND terms::json ->> 'product' IS NULL
 ORDER BY ledger_id, account_id LIMIT 1;

-- name: load_subjects
EXECUTE load_subjects (%(ledger_id)s, %(streams)s);

-- name: load_streams
EXECUTE load_streams (%(ledger_id)s, %(streams)s);

-- name: stream_bodies
SELECT e.body
  FROM daybook.event_streams s JOIN daybook.events e USING (ledger_id, seq)
 WHERE s.ledger_id = %(ledger_id)s AND s.stream = %(stream)s ORDER BY s.version;

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

-- name: first_due
-- Open holds, and streams of products that must be decided again: holds first, where the moment is the same.
(SELECT expires_at AS due_at, seq, NULL COLLATE "C" AS stream FROM daybook.holds
  WHERE ledger_id = %(ledger_id)s ORDER BY ledger_id, expires_at, seq LIMIT %(limit)s)
 UNION ALL
(SELECT due_at, NULL, stream COLLATE "C" FROM daybook.streams
  WHERE ledger_id = %(ledger_id)s AND due_at IS NOT NULL ORDER BY ledger_id, due_at, stream COLLATE "C" LIMIT %(limit)s)
 ORDER BY due_at, seq, stream LIMIT %(limit)s;

-- name: due_ledgers
SELECT l.tenant || '/' || l.name FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id)
 WHERE h.next_expiry <= clock_timestamp() ORDER BY h.next_expiry LIMIT 1000;

-- name: update_head
EXECUTE update_head (%(ledger_id)s, %(incarnation)s, %(seq)s, %(recorded_at)s, %(root)s, %(frontier)s, %(accounts)s, %(chart_seq)s, %(next_expiry)s,
                     %(basis_incarnation)s, %(basis_seq)s, %(basis_root)s, %(now)s, %(tolerance)s);

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
EXECUTE upsert_balances (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: upsert_subjects
EXECUTE upsert_subjects (%(ledger_id)s, %(state_version)s, %(versions)s, %(seqs)s, %(streams)s, %(states)s);

-- name: upsert_streams
EXECUTE upsert_streams (%(ledger_id)s, %(state_versions)s, %(versions)s, %(seqs)s, %(dues)s, %(kinds)s, %(streams)s, %(states)s);

-- name: delete_holds
EXECUTE delete_holds (%(ledger_id)s, %(expiries)s, %(seqs)s);

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
