-- What `daybook audit check` reads, as daybook_reader: row-level security shows only the ledger of `set_ledger`.
-- Rows that are compared as bytes are read by binary COPY, in the order of the columns of projections/audit/rows.py.

-- name: ledgers
-- Every ledger that is open, or has events as if it were; as daybook_projector.
SELECT daybook.whole_name(l.tenant, l.name), l.public_id::text FROM daybook.ledgers l
 WHERE l.opened_at IS NOT NULL OR EXISTS (SELECT FROM daybook.events e WHERE e.ledger_id = l.ledger_id)
 ORDER BY 1;

-- name: nameless
-- The numbers of ledgers that have a head and are not there; as daybook_projector.
SELECT h.ledger_id FROM daybook.heads h
 WHERE NOT EXISTS (SELECT FROM daybook.ledgers l WHERE l.ledger_id = h.ledger_id) ORDER BY 1;

-- name: find_ledger
SELECT ledger_id, public_id::text, time_zone, to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM daybook.ledgers
 WHERE tenant = %(tenant)s AND name = %(name)s;

-- name: set_tenant
SELECT set_config('daybook.tenant', %(tenant)s, false);

-- name: set_ledger
SELECT set_config('daybook.ledger_id', %(ledger_id)s::text, false);

-- name: head
SELECT incarnation, seq, to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       root, frontier, accounts, chart_seq, to_char(next_expiry AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM daybook.heads WHERE ledger_id = %(ledger_id)s;

-- name: events
COPY (SELECT seq, effective_at, recorded_at, legs, type, leaf, body FROM daybook.events
       WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s
       ORDER BY ledger_id, seq LIMIT %(limit)s) TO STDOUT (FORMAT binary);

-- name: bodies
SELECT seq, body FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = ANY (%(seqs)s);

-- name: out_of_place
-- The first event that the head does not know of, in one snapshot with it, and the last event that none may be.
SELECT (SELECT min(e.seq) FROM daybook.events e WHERE e.ledger_id = h.ledger_id AND e.seq > h.seq),
       (SELECT max(e.seq) FROM daybook.events e WHERE e.ledger_id = h.ledger_id AND e.seq < 1)
  FROM daybook.heads h WHERE h.ledger_id = %(ledger_id)s;

-- name: leaf_not_in_tile
-- The first event whose leaf is not the one that its tile has, among those that have a completed tile.
SELECT min(e.seq)
  FROM projections.versions v
  JOIN projections.tiles t ON t.version = v.version AND t.ledger_id = %(ledger_id)s AND t.level = 0
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq > 256 * t.index AND e.seq <= 256 * (t.index + 1)
 WHERE v.projection = 'tiles' AND v.state = 'live'
   AND e.leaf <> substr(t.hashes, 32 * ((e.seq - 1) %% 256)::integer + 1, 32);

-- name: rows_postings
-- Rows of events up to the pinned seq, and those of events that are not there. (Likewise the next three.)
COPY (SELECT seq, amount, effective_at, debits_posted, credits_posted, debits_pending, credits_pending,
             account_id, asset_id, leg, kind FROM daybook.postings
       WHERE ledger_id = %(ledger_id)s AND seq >= %(first)s
         AND (seq <= %(last)s OR seq > (SELECT seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s)))
  TO STDOUT (FORMAT binary);

-- name: rows_event_streams
COPY (SELECT seq, version, stream FROM daybook.event_streams
       WHERE ledger_id = %(ledger_id)s AND seq >= %(first)s
         AND (seq <= %(last)s OR seq > (SELECT seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s)))
  TO STDOUT (FORMAT binary);

-- name: rows_endings
COPY (SELECT seq, stream FROM daybook.endings
       WHERE ledger_id = %(ledger_id)s AND seq >= %(first)s
         AND (seq <= %(last)s OR seq > (SELECT seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s)))
  TO STDOUT (FORMAT binary);

-- name: rows_idempotency_keys
-- What a refused command left behind has no event; its row is not derived. A key has either events or rejections.
COPY (SELECT seq, CASE WHEN rejections IS NULL THEN events ELSE -1::smallint END, fingerprint, key
        FROM daybook.idempotency_keys
       WHERE ledger_id = %(ledger_id)s AND (events <> 0 OR rejections IS NULL) AND seq >= %(first)s
         AND (seq <= %(last)s OR seq > (SELECT seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s)))
  TO STDOUT (FORMAT binary);

-- name: assets
SELECT asset_id, asset FROM daybook.assets WHERE ledger_id = %(ledger_id)s ORDER BY asset_id;

-- name: accounts
SELECT account_id, address, opened_seq, closed_seq, terms FROM daybook.accounts
 WHERE ledger_id = %(ledger_id)s ORDER BY ledger_id, account_id;

-- name: balances
SELECT account_id, asset_id, debits_posted, credits_posted, debits_pending, credits_pending, last_seq, version,
       min_available, max_balance, debit_normal
  FROM daybook.balances WHERE ledger_id = %(ledger_id)s ORDER BY ledger_id, account_id, asset_id;

-- name: holds
SELECT coalesce(to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), expires_at::text), seq
  FROM daybook.holds WHERE ledger_id = %(ledger_id)s ORDER BY ledger_id, expires_at, seq;

-- name: streams
SELECT stream, version, last_seq, state_version, kind, due_at::text, state FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND kind = 'transaction';

-- name: product_streams
SELECT stream, version, last_seq, state_version, kind,
       to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), state
  FROM daybook.streams WHERE ledger_id = %(ledger_id)s AND kind <> 'transaction' ORDER BY stream COLLATE "C";

-- name: product_events
SELECT s.stream, s.seq, e.body FROM daybook.event_streams s JOIN daybook.events e USING (ledger_id, seq)
 WHERE s.ledger_id = %(ledger_id)s AND s.stream NOT LIKE 'transaction:%%' ORDER BY s.stream COLLATE "C", s.version;

-- name: closed_periods
SELECT period, to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       to_char(ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), seq
  FROM daybook.closed_periods WHERE ledger_id = %(ledger_id)s
 ORDER BY period COLLATE "C";

-- name: one_stream
SELECT stream, version, last_seq, state_version, kind, due_at::text, state FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND stream = %(stream)s;
