-- Balances as of an effective moment, as known at a seq, exact at any seq: what the read models have not come
-- to yet, or have beyond the seq that is asked, is made up for from the posting rows.

-- name: balances_before
-- The four counters of accounts `first` to `last` from legs effective before a moment, of events 1 .. `seq`.
-- Days before `day` are sums; of the day itself, which begins at `day_start`, the legs count one by one.
-- A place whose counters are all zero is left out, whether it had no legs by then or they cancel out.
WITH places AS (
    SELECT account_id, asset_id, last_seq FROM daybook.balances
     WHERE ledger_id = %(ledger_id)s AND account_id BETWEEN %(first)s AND %(last)s
), parts AS (
    SELECT account_id, asset_id, debits_posted, credits_posted, debits_pending, credits_pending
      FROM projections.daily_balances
     WHERE version = %(days_version)s AND ledger_id = %(ledger_id)s
       AND account_id BETWEEN %(first)s AND %(last)s AND day < %(day)s
    UNION ALL
    SELECT p.account_id, p.asset_id, sign * c.debits_posted, sign * c.credits_posted, sign * c.debits_pending,
           sign * c.credits_pending
      FROM places p
     CROSS JOIN (SELECT CASE WHEN %(seq)s >= %(days_seq)s THEN 1 ELSE -1 END AS sign) s
     CROSS JOIN LATERAL (
        SELECT kind, amount FROM daybook.postings
         WHERE ledger_id = %(ledger_id)s AND account_id = p.account_id AND asset_id = p.asset_id
           AND seq > least(%(seq)s, %(days_seq)s) AND seq <= greatest(%(seq)s, %(days_seq)s)
           AND effective_at < %(day_start)s OFFSET 0) l
     CROSS JOIN LATERAL projections.counters(l.kind, l.amount) c
     WHERE p.last_seq > least(%(seq)s, %(days_seq)s)
    UNION ALL
    SELECT p.account_id, p.asset_id, c.*
      FROM places p
     CROSS JOIN LATERAL (
        SELECT kind, amount FROM projections.activity
         WHERE version = %(activity_version)s AND ledger_id = %(ledger_id)s AND account_id = p.account_id
           AND asset_id = p.asset_id AND effective_at >= %(day_start)s AND effective_at < %(before)s
           AND seq <= %(seq)s OFFSET 0) l
     CROSS JOIN LATERAL projections.counters(l.kind, l.amount) c
     WHERE %(day_start)s < %(before)s
    UNION ALL
    SELECT p.account_id, p.asset_id, c.*
      FROM places p
     CROSS JOIN LATERAL (
        SELECT kind, amount FROM daybook.postings
         WHERE ledger_id = %(ledger_id)s AND account_id = p.account_id AND asset_id = p.asset_id
           AND seq > %(activity_seq)s AND seq <= %(seq)s
           AND effective_at >= %(day_start)s AND effective_at < %(before)s OFFSET 0) l
     CROSS JOIN LATERAL projections.counters(l.kind, l.amount) c
     WHERE %(day_start)s < %(before)s AND p.last_seq > %(activity_seq)s
)
SELECT t.account_id, a.address, a.terms, s.asset, t.debits_posted, t.credits_posted, t.debits_pending, t.credits_pending
  FROM (SELECT account_id, asset_id, sum(debits_posted)::bigint AS debits_posted,
               sum(credits_posted)::bigint AS credits_posted, sum(debits_pending) AS debits_pending,
               sum(credits_pending) AS credits_pending
          FROM parts GROUP BY account_id, asset_id
        HAVING (sum(debits_posted), sum(credits_posted), sum(debits_pending), sum(credits_pending)) <> (0, 0, 0, 0)) t
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.account_id = t.account_id
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset_id = t.asset_id
 ORDER BY t.account_id, s.asset;

-- name: balances_at_seq
-- The same of all legs of events 1 .. `seq`, whenever they are effective: the counters after the last leg.
SELECT b.account_id, a.address, a.terms, s.asset, p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending
  FROM daybook.balances b
 CROSS JOIN LATERAL (
    SELECT * FROM daybook.postings
     WHERE ledger_id = %(ledger_id)s AND account_id = b.account_id AND asset_id = b.asset_id AND seq <= %(seq)s
     ORDER BY seq DESC, leg DESC LIMIT 1) p
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.account_id = b.account_id
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset_id = b.asset_id
 WHERE b.ledger_id = %(ledger_id)s AND b.account_id BETWEEN %(first)s AND %(last)s
   AND (p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending) <> (0, 0, 0, 0)
 ORDER BY b.account_id, s.asset;

-- name: keep_versions
-- For a report of several long statements: until its transaction ends, no version that it has looked up is dropped.
LOCK TABLE ONLY projections.daily_balances, ONLY projections.activity IN ACCESS SHARE MODE;

-- name: last_of_page
SELECT max(account_id), count(*) FROM (
    SELECT account_id FROM daybook.accounts
     WHERE ledger_id = %(ledger_id)s AND account_id > %(after)s ORDER BY ledger_id, account_id LIMIT %(limit)s) page;

-- name: counters_at_moment
-- What the legs of one place effective at exactly a moment add, up to and with a leg, of events 1 .. `seq`.
SELECT coalesce(sum(c.debits_posted), 0)::bigint, coalesce(sum(c.credits_posted), 0)::bigint,
       coalesce(sum(c.debits_pending), 0), coalesce(sum(c.credits_pending), 0)
  FROM (SELECT seq, leg, kind, amount FROM projections.activity
         WHERE version = %(activity_version)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
           AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s) AND effective_at = %(after_at)s AND seq <= %(seq)s
        UNION ALL
        SELECT seq, leg, kind, amount FROM daybook.postings
         WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s)
           AND effective_at = %(after_at)s AND seq > %(activity_seq)s AND seq <= %(seq)s) l
 CROSS JOIN LATERAL projections.counters(l.kind, l.amount) c
 WHERE (l.seq, l.leg) <= (%(after_seq)s, %(after_leg)s);

-- name: legs_between
-- Legs of one place effective in [start, before) beyond a leg, in effective order, of events 1 .. `seq`.
SELECT l.effective_at, l.seq, l.leg, l.kind, l.amount, e.recorded_at, e.type, e.body
  FROM (SELECT effective_at, seq, leg, kind, amount FROM (
            (SELECT effective_at, seq, leg, kind, amount FROM projections.activity
              WHERE version = %(activity_version)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
                AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s) AND effective_at >= %(start)s AND effective_at < %(before)s
                AND (effective_at, seq, leg) > (%(after_at)s, %(after_seq)s, %(after_leg)s) AND seq <= %(seq)s
              ORDER BY effective_at, seq, leg LIMIT %(limit)s)
            UNION ALL
            (SELECT effective_at, seq, leg, kind, amount FROM daybook.postings
              WHERE ledger_id = %(ledger_id)s AND account_id = %(account_id)s AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s)
                AND seq > %(activity_seq)s AND seq <= %(seq)s
                AND effective_at >= %(start)s AND effective_at < %(before)s
                AND (effective_at, seq, leg) > (%(after_at)s, %(after_seq)s, %(after_leg)s)
              ORDER BY effective_at, seq, leg LIMIT %(limit)s)) legs
         ORDER BY effective_at, seq, leg LIMIT %(limit)s) l
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = l.seq
 ORDER BY l.effective_at, l.seq, l.leg;

-- name: closing_entries
-- What closing entries and reversals of them, effective in [start, before), of events 1 .. `seq`, do to income and
-- expense accounts. Closing entries stand between a period's reopening for them and its closing, and say so in their
-- metadata.
WITH control AS (
    SELECT seq, type, body, lead(seq) OVER (ORDER BY seq) AS next
      FROM daybook.events
     WHERE ledger_id = %(ledger_id)s AND type IN ('period_closed', 'period_reopened', 'ledger_restored')
), entries AS MATERIALIZED (
    SELECT e.seq, e.effective_at, e.body
      FROM control c
      JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq > c.seq AND e.seq < c.next
     WHERE c.type = 'period_reopened' AND convert_from(c.body, 'UTF8')::jsonb -> 'data' ->> 'reason' = %(reason)s
       AND e.type = 'transaction_posted' AND convert_from(e.body, 'UTF8')::jsonb -> 'metadata' ? 'closing_entries'
), moved AS (
    SELECT seq, effective_at, body FROM entries
    UNION ALL
    SELECT r.seq, r.effective_at, r.body
      FROM entries e
      JOIN daybook.event_streams s ON s.ledger_id = %(ledger_id)s AND s.stream = 'transaction:' || e.seq
      JOIN daybook.events r ON r.ledger_id = %(ledger_id)s AND r.seq = s.seq
     WHERE r.type = 'transaction_reversed'
)
SELECT a.account_id, a.address, a.terms, l.asset, coalesce(sum(l.amount) FILTER (WHERE l.side = 'debit'), 0)::bigint,
       coalesce(sum(l.amount) FILTER (WHERE l.side = 'credit'), 0)::bigint
  FROM moved m
 CROSS JOIN LATERAL jsonb_to_recordset(convert_from(m.body, 'UTF8')::jsonb -> 'postings')
    AS l (account text, asset text, side text, amount bigint)
  JOIN daybook.accounts a ON a.ledger_id = %(ledger_id)s AND a.address = l.account
 WHERE m.seq <= %(seq)s AND m.effective_at >= %(start)s AND m.effective_at < %(before)s
   AND a.terms::json ->> 'type' IN ('income', 'expense')
 GROUP BY a.account_id, a.address, a.terms, l.asset;
