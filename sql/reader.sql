-- What readers run, as daybook_reader: row-level security shows only the ledger of `find_ledger`.

-- name: set_tenant
-- First in every transaction: row-level security shows only this tenant's ledgers.
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- name: find_ledger
-- And sets it: row-level security shows only its rows from here on.
SELECT ledger_id, name, public_id::text, time_zone, opened_at,
       set_config('daybook.ledger_id', ledger_id::text, true)
  FROM daybook.ledgers
 WHERE tenant = %(tenant)s AND name = %(name)s AND opened_at IS NOT NULL;

-- name: list_ledgers
SELECT ledger_id, name, public_id::text, time_zone, opened_at FROM daybook.ledgers
 WHERE tenant = %(tenant)s AND name > %(after)s AND opened_at IS NOT NULL
   AND (%(only)s::text[] IS NULL OR name = ANY (%(only)s)) ORDER BY name LIMIT %(limit)s;

-- name: clock
SELECT clock_timestamp();

-- name: head
SELECT incarnation, seq, recorded_at, root, accounts FROM daybook.heads WHERE ledger_id = %(ledger_id)s;

-- name: chart_body
SELECT body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s
   AND seq = (SELECT chart_seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s);

-- name: seq_at
SELECT daybook.seq_at(%(ledger_id)s, %(moment)s);

-- name: find_account
SELECT account_id, address, opened_seq, closed_seq, terms FROM daybook.accounts
 WHERE ledger_id = %(ledger_id)s AND address = %(address)s;

-- name: list_accounts
-- By number, which is the order of opening. `prefix` is whole segments: `customers:42` has `customers:42:wallet`.
SELECT account_id, address, opened_seq, closed_seq, terms FROM daybook.accounts
 WHERE ledger_id = %(ledger_id)s AND account_id > %(after)s
   AND (%(prefix)s::text IS NULL OR address = %(prefix)s OR starts_with(address, %(prefix)s || ':'))
   AND (%(type)s::text IS NULL OR terms::json ->> 'type' = %(type)s)
 ORDER BY ledger_id, account_id LIMIT %(limit)s;

-- name: balances_now
-- With the head's seq, in one snapshot; a row with a null asset for an account never used.
SELECT h.seq, s.asset, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending, b.version
  FROM daybook.heads h
  LEFT JOIN daybook.balances b ON b.ledger_id = h.ledger_id AND b.account_id = %(account_id)s
  LEFT JOIN daybook.assets s ON s.ledger_id = h.ledger_id AND s.asset_id = b.asset_id
 WHERE h.ledger_id = %(ledger_id)s ORDER BY s.asset;

-- name: balances_at
-- The counters after the last leg at or before a seq: one look-up in the postings' key for each asset.
SELECT s.asset, p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending
  FROM daybook.balances b
  JOIN daybook.assets s ON s.ledger_id = b.ledger_id AND s.asset_id = b.asset_id
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.postings
     WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s AND asset_id = b.asset_id AND seq <= %(seq)s
     ORDER BY seq DESC, leg DESC LIMIT 1) p
 WHERE b.ledger_id = %(ledger_id)s AND b.account_id = %(account_id)s ORDER BY s.asset;

-- name: statement
SELECT p.seq, p.leg, p.kind, p.amount, p.effective_at, p.debits_posted, p.credits_posted, p.debits_pending,
       p.credits_pending, e.recorded_at, e.type, e.body
  FROM (SELECT * FROM daybook.postings
         WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s
           AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s)
           AND (seq, leg) > (%(after_seq)s, %(after_leg)s)
         ORDER BY seq, leg LIMIT %(limit)s) p
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = p.seq
 ORDER BY p.seq, p.leg;

-- name: event_bodies
SELECT e.seq, e.body FROM unnest(%(seqs)s::bigint[]) AS wanted
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = wanted ORDER BY e.seq;

-- name: legs
-- The legs of some events, found by the accounts that their bodies name.
SELECT p.seq, p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending, a.address, s.asset, a.terms
  FROM unnest(%(seqs)s::bigint[], %(addresses)s::text[], %(assets)s::text[]) AS wanted (seq, address, asset)
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.address = wanted.address
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset = wanted.asset
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.postings
     WHERE ledger_id = %(ledger_id)s AND account_id = a.account_id AND asset_id = s.asset_id
       AND seq = wanted.seq OFFSET 0) p
 ORDER BY p.seq, p.leg;

-- name: stream
SELECT s.state, (SELECT array_agg(seq ORDER BY version) FROM daybook.event_streams e
                  WHERE e.ledger_id = s.ledger_id AND e.stream = s.stream)
  FROM daybook.streams s WHERE s.ledger_id = %(ledger_id)s AND s.stream = %(stream)s;

-- name: product_stream
SELECT stream, version, last_seq, state_version, state
  FROM daybook.streams WHERE ledger_id = %(ledger_id)s AND stream = %(stream)s;

-- name: product_streams
-- Streams of a kind whose names begin with `first`, beyond `after`.
SELECT stream, version, last_seq, state_version, state
  FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND kind = %(kind)s AND kind <> 'transaction'
   AND stream COLLATE "C" >= %(first)s AND stream COLLATE "C" < %(first)s || chr(1114111) AND stream COLLATE "C" > %(after)s
 ORDER BY stream COLLATE "C" LIMIT %(limit)s;

-- name: streams_saying
-- Streams of a kind whose stored state has all of these texts in it, beyond `after`.
SELECT stream, version, last_seq, state_version, state
  FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND kind = %(kind)s AND kind <> 'transaction'
   AND NOT EXISTS (SELECT FROM unnest(%(needles)s::text[]) AS needle WHERE position(needle IN state) = 0)
   AND stream COLLATE "C" > %(after)s
 ORDER BY stream COLLATE "C" LIMIT %(limit)s;

-- name: open_items
-- Streams of payments whose balance is not zero, or that miss refunds: a state without has no such member.
SELECT stream, version, last_seq, state_version, state
  FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND kind = ANY(%(kinds)s) AND kind <> 'transaction'
   AND (position('"balance":{"' in state) > 0 OR position('"refunds_missing":{"' in state) > 0) AND stream COLLATE "C" > %(after)s
 ORDER BY stream COLLATE "C" LIMIT %(limit)s;

-- name: stream_bodies
SELECT e.body
  FROM daybook.event_streams s JOIN daybook.events e USING (ledger_id, seq)
 WHERE s.ledger_id = %(ledger_id)s AND s.stream = %(stream)s ORDER BY s.version;

-- name: scan_events
-- Up to `scan` events beyond a cursor, the body only of those that match; the caller pages on the last one seen.
SELECT seq, CASE WHEN legs > 0 AND (%(type)s::text IS NULL OR type = %(type)s)
                  AND (%(effective_from)s::timestamptz IS NULL OR effective_at >= %(effective_from)s)
                  AND (%(effective_to)s::timestamptz IS NULL OR effective_at < %(effective_to)s)
                  AND (%(reference)s::text IS NULL OR convert_from(body, 'UTF8')::json ->> 'reference' = %(reference)s)
            THEN body END AS body
  FROM ((SELECT * FROM daybook.events WHERE NOT %(newest_first)s AND ledger_id = %(ledger_id)s AND seq > %(after)s
          ORDER BY ledger_id, seq LIMIT %(scan)s)
        UNION ALL
        (SELECT * FROM daybook.events WHERE %(newest_first)s AND ledger_id = %(ledger_id)s AND seq < %(after)s
          ORDER BY ledger_id DESC, seq DESC LIMIT %(scan)s)) AS scanned;

-- name: scan_account
-- The same over the events that touch one account.
SELECT e.seq, CASE WHEN e.legs > 0 AND (%(type)s::text IS NULL OR e.type = %(type)s)
                    AND (%(effective_from)s::timestamptz IS NULL OR e.effective_at >= %(effective_from)s)
                    AND (%(effective_to)s::timestamptz IS NULL OR e.effective_at < %(effective_to)s)
                    AND (%(reference)s::text IS NULL OR convert_from(e.body, 'UTF8')::json ->> 'reference' = %(reference)s)
              THEN e.body END AS body
  FROM (SELECT DISTINCT p.seq
          FROM daybook.balances b
         CROSS JOIN LATERAL (
            (SELECT DISTINCT seq FROM daybook.postings
              WHERE NOT %(newest_first)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
                AND asset_id = b.asset_id AND seq > %(after)s ORDER BY seq LIMIT %(scan)s)
            UNION ALL
            (SELECT DISTINCT seq FROM daybook.postings
              WHERE %(newest_first)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
                AND asset_id = b.asset_id AND seq < %(after)s ORDER BY seq DESC LIMIT %(scan)s)) p
         WHERE b.ledger_id = %(ledger_id)s AND b.account_id = %(account_id)s) AS touched
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = touched.seq
 ORDER BY CASE WHEN %(newest_first)s THEN -e.seq ELSE e.seq END LIMIT %(scan)s;

-- name: trial_balance_totals
SELECT h.seq, s.asset, sum(b.debits_posted), sum(b.credits_posted), sum(b.debits_pending), sum(b.credits_pending),
       sum(greatest(b.debits_posted - b.credits_posted, 0)), sum(greatest(b.credits_posted - b.debits_posted, 0))
  FROM daybook.heads h
  LEFT JOIN daybook.balances b ON b.ledger_id = h.ledger_id
  LEFT JOIN daybook.assets s ON s.ledger_id = h.ledger_id AND s.asset_id = b.asset_id
 WHERE h.ledger_id = %(ledger_id)s GROUP BY h.seq, s.asset ORDER BY s.asset;

-- name: trial_balance_lines
SELECT a.account_id, a.address, a.terms, s.asset, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending
  FROM daybook.accounts a
  JOIN daybook.balances b ON b.ledger_id = a.ledger_id AND b.account_id = a.account_id
  JOIN daybook.assets s ON s.ledger_id = a.ledger_id AND s.asset_id = b.asset_id
 WHERE a.ledger_id = %(ledger_id)s AND a.account_id > %(after)s AND a.account_id <= (
    SELECT coalesce(max(account_id), 0) FROM (
        SELECT account_id FROM daybook.accounts
         WHERE ledger_id = %(ledger_id)s AND account_id > %(after)s ORDER BY ledger_id, account_id LIMIT %(limit)s) page)
 ORDER BY a.account_id, s.asset;

-- name: closed_periods
SELECT p.seq, p.period, p.starts_at, p.ends_at, e.recorded_at
  FROM daybook.closed_periods p JOIN daybook.events e USING (ledger_id, seq)
 WHERE p.ledger_id = %(ledger_id)s ORDER BY p.starts_at, p.ends_at DESC;

-- name: period_events
-- From the index of the few events of control.
SELECT body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND type IN ('period_closed', 'period_reopened')
 ORDER BY ledger_id, seq LIMIT %(limit)s;

-- name: patience
-- For reads that pass over much of a ledger.
SELECT set_config('statement_timeout', '10min', true);

-- name: temporary_balances
-- What income and expense accounts have (debits less credits) from all that counts before a moment. It reads every
-- posting of those accounts once.
SELECT a.address, s.asset, p.net
  FROM (SELECT account_id, asset_id, sum(amount) AS net FROM daybook.postings
         WHERE ledger_id = %(ledger_id)s AND kind = 0 AND effective_at < %(before)s
           AND account_id IN (
            SELECT account_id FROM daybook.accounts
             WHERE ledger_id = %(ledger_id)s AND terms::json ->> 'type' IN ('income', 'expense')
               AND coalesce(terms::json ->> 'memo', 'false') = 'false')
         GROUP BY account_id, asset_id HAVING sum(amount) <> 0) p
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.account_id = p.account_id
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset_id = p.asset_id
 ORDER BY s.asset, a.account_id;
