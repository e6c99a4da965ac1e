-- What an audit export reads, as daybook_reader, on a connection of its own. Every query is bounded by the
-- pinned seq (`upto`), so none needs a snapshot for longer than it runs.

-- name: set_tenant
-- For the session, not the transaction: an export is about one ledger and reads in many transactions.
SELECT set_config('daybook.tenant', %(tenant)s, false);

-- name: set_ledger
SELECT set_config('daybook.ledger_id', %(ledger_id)s::text, false);

-- name: pin
SELECT h.incarnation, h.seq, clock_timestamp() FROM daybook.heads h WHERE h.ledger_id = %(ledger_id)s;

-- name: book
SELECT seq, effective_at, leaf, body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s ORDER BY ledger_id, seq LIMIT %(limit)s;

-- name: posted_between
-- When the first and the last posted leg count; null without any.
SELECT min(effective_at), max(effective_at) FROM daybook.postings
 WHERE ledger_id = %(ledger_id)s AND seq <= %(upto)s AND kind = 0;

-- name: effective_order
-- Seqs of the events with legs that count from `starts` until `ends`, in the order of the journals.
SELECT seq FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq <= %(upto)s AND legs > 0
   AND effective_at >= %(starts)s AND effective_at < %(ends)s ORDER BY effective_at, seq;

-- name: effective_count
SELECT count(*) FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq <= %(upto)s AND legs > 0
   AND effective_at >= %(starts)s AND effective_at < %(ends)s;

-- name: bodies
SELECT e.seq, e.effective_at, e.leaf, e.body
  FROM unnest(%(seqs)s::bigint[]) WITH ORDINALITY AS wanted (seq, place)
 CROSS JOIN LATERAL (SELECT * FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = wanted.seq OFFSET 0) e
 ORDER BY wanted.place;

-- name: period_balances
-- For each period, account and asset posted to so far: the balance before and after it, debit positive. Period 0
-- is everything before the range; `starts` is when each period begins, `ends` when the last one is over.
WITH changes AS (
    SELECT account_id, asset_id, width_bucket(effective_at, %(starts)s::timestamptz[]) AS period, sum(amount) AS change
      FROM daybook.postings
     WHERE ledger_id = %(ledger_id)s AND seq <= %(upto)s AND kind = 0 AND effective_at < %(ends)s
     GROUP BY account_id, asset_id, period),
known AS (
    SELECT account_id, asset_id, generate_series(min(period), cardinality(%(starts)s::timestamptz[])) AS period
      FROM changes GROUP BY account_id, asset_id),
running AS (
    SELECT account_id, asset_id, period, coalesce(change, 0) AS change,
           sum(coalesce(change, 0)) OVER (PARTITION BY account_id, asset_id ORDER BY period) AS closing
      FROM known LEFT JOIN changes USING (account_id, asset_id, period))
SELECT r.period, a.address, a.terms, s.asset, (r.closing - r.change)::bigint, r.closing::bigint
  FROM running r
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.account_id = r.account_id
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset_id = r.asset_id
 ORDER BY r.period, r.account_id, s.asset COLLATE "C";

-- name: accounts
SELECT account_id, address, terms, opened_seq, CASE WHEN closed_seq <= %(upto)s THEN closed_seq END
  FROM daybook.accounts
 WHERE ledger_id = %(ledger_id)s AND account_id > %(after)s AND opened_seq <= %(upto)s
 ORDER BY ledger_id, account_id LIMIT %(limit)s;

-- name: terms
SELECT a.address, a.terms FROM unnest(%(addresses)s::text[]) AS wanted
 CROSS JOIN LATERAL (SELECT * FROM daybook.accounts WHERE ledger_id = %(ledger_id)s AND address = wanted OFFSET 0) a;

-- name: balances
-- The counters after the last leg at or before the pinned seq, of the accounts of one page.
SELECT a.account_id, a.address, s.asset, p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending
  FROM daybook.accounts a
  JOIN daybook.balances b ON b.ledger_id = a.ledger_id AND b.account_id = a.account_id
  JOIN daybook.assets s ON s.ledger_id = a.ledger_id AND s.asset_id = b.asset_id
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.postings
     WHERE ledger_id = %(ledger_id)s AND account_id = a.account_id AND asset_id = b.asset_id AND seq <= %(upto)s
     ORDER BY seq DESC, leg DESC LIMIT 1) p
 WHERE a.ledger_id = %(ledger_id)s AND a.account_id > %(after)s AND a.account_id <= %(last)s
 ORDER BY a.account_id, s.asset COLLATE "C";
