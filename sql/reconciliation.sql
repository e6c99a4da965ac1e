-- What a reconciliation reads of the ledger, as daybook_reader: row-level security shows only the ledger of `find_ledger`.

-- name: account_items
-- Every posted leg of an account up to a seq that counts between two moments: one pass over the account.
SELECT p.seq, p.leg, p.amount, p.effective_at, s.asset, convert_from(e.body, 'UTF8')::json ->> 'reference'
  FROM daybook.postings p
  JOIN daybook.events e ON e.ledger_id = p.ledger_id AND e.seq = p.seq
  JOIN daybook.assets s ON s.ledger_id = p.ledger_id AND s.asset_id = p.asset_id
 WHERE p.ledger_id = %(ledger_id)s AND p.account_id = %(account_id)s AND p.kind = 0 AND p.seq <= %(known_at)s
   AND p.effective_at >= %(from)s::timestamptz AND p.effective_at < %(to)s::timestamptz;

-- name: open_differences
-- Items that nobody has resolved: of the last run of a side that was finished, and of one run that never is.
WITH runs AS MATERIALIZED (
    SELECT stream, state::jsonb AS state FROM daybook.streams
     WHERE ledger_id = %(ledger_id)s AND kind = 'reconciliation' AND kind <> 'transaction'
), counted AS (
    (SELECT state FROM runs WHERE state ->> 'side' = %(side)s AND state ->> 'status' = 'finished'
      ORDER BY (state ->> 'known_at')::bigint DESC LIMIT 1)
    UNION ALL
    SELECT state FROM runs WHERE stream = %(standing)s
)
SELECT coalesce(sum((state ->> 'unresolved')::bigint), 0) FROM counted;

-- name: facts
-- Events of some types beyond a seq that count between two moments, in order: one pass over what was recorded since.
SELECT body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(known_at)s AND type = ANY (%(types)s)
   AND effective_at >= %(start)s AND effective_at < %(end)s
 ORDER BY seq;

-- name: facts_on_streams
-- OFFSET 0 keeps one look-up a stream, whatever the planner thinks of a young table.
SELECT s.stream, e.body
  FROM unnest(%(streams)s::text[]) AS n
 CROSS JOIN LATERAL (SELECT stream, version, seq FROM daybook.event_streams
                      WHERE ledger_id = %(ledger_id)s AND stream = n AND seq <= %(known_at)s OFFSET 0) AS s
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = s.seq
 ORDER BY s.stream, s.version;

-- name: balance_before
-- An account by asset, as of before a moment and known at a seq: one pass over it.
SELECT s.asset, sum(p.amount)
  FROM daybook.postings p
  JOIN daybook.accounts a ON a.ledger_id = p.ledger_id AND a.account_id = p.account_id
  JOIN daybook.assets s ON s.ledger_id = p.ledger_id AND s.asset_id = p.asset_id
 WHERE p.ledger_id = %(ledger_id)s AND a.address = %(account)s AND p.kind = 0 AND p.seq <= %(known_at)s
   AND p.effective_at < %(end)s
 GROUP BY s.asset;

-- name: events_of_streams
-- The events of a type on some streams, in the order of their recording.
SELECT s.stream, e.body
  FROM unnest(%(streams)s::text[]) w(stream)
  JOIN daybook.event_streams s ON s.ledger_id = %(ledger_id)s AND s.stream = w.stream
  JOIN daybook.events e ON e.ledger_id = s.ledger_id AND e.seq = s.seq
 WHERE e.type = %(type)s
 ORDER BY e.seq;
