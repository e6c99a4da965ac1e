-- What is read from the read models at their checkpoints: transactions found, days, activity, assertions.

-- name: asset_id
SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s;

-- name: seq_before
-- Nothing has two moments in a microsecond.
SELECT daybook.seq_at(%(ledger_id)s, %(moment)s::timestamptz - interval '1 microsecond');

-- name: rarest_term
-- Of what is asked, each a term or two that mean the same, the one with the fewest transactions, counted up to a
-- thousand.
SELECT ARRAY[one, other]
  FROM unnest(%(firsts)s::bytea[], %(seconds)s::bytea[]) AS wanted (one, other)
 ORDER BY (SELECT count(*) FROM (
              SELECT FROM projections.search_terms
               WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND term = ANY (ARRAY[one, other])
               LIMIT 1000) few)
 LIMIT 1;

-- name: terms
SELECT projections.reference_term(%(reference)s) AS one, projections.reference_term(%(reference)s) AS other
 WHERE %(reference)s::text IS NOT NULL
UNION ALL
SELECT projections.pair_term('metadata', name, value), projections.pair_term('remark', name, value)
  FROM unnest(%(names)s::text[], %(values)s::text[]) AS pair (name, value);

-- name: find
-- Candidates, newest first, by what narrows most (`by`), up to `scan` of them; of those, which match all else.
WITH candidates AS MATERIALIZED (
    SELECT seq FROM (
        (SELECT t.seq FROM unnest(%(terms)s::bytea[]) AS wanted (term)
          CROSS JOIN LATERAL (
            SELECT seq FROM projections.search_terms
             WHERE %(by)s = 'term' AND version = %(version)s AND ledger_id = %(ledger_id)s AND term = wanted.term
               AND seq < %(below)s AND seq > %(above)s ORDER BY seq DESC LIMIT %(scan)s) t)
        UNION
        (SELECT seq FROM projections.search_amounts
          WHERE %(by)s = 'amount' AND version = %(version)s AND ledger_id = %(ledger_id)s AND asset_id = %(asset_id)s
            AND amount = %(amount_min)s AND seq < %(below)s AND seq > %(above)s
          ORDER BY seq DESC LIMIT %(scan)s)
        UNION
        (SELECT seq FROM projections.search_amounts
          WHERE %(by)s = 'amounts' AND version = %(version)s AND ledger_id = %(ledger_id)s AND asset_id = %(asset_id)s
            AND amount BETWEEN %(amount_min)s AND %(amount_max)s AND seq < %(below)s AND seq > %(above)s
          GROUP BY seq ORDER BY seq DESC LIMIT %(scan)s)
        UNION
        (SELECT p.seq FROM daybook.balances b
          CROSS JOIN LATERAL (
            SELECT DISTINCT seq FROM daybook.postings
             WHERE ledger_id = %(ledger_id)s AND account_id = b.account_id AND asset_id = b.asset_id
               AND seq < %(below)s AND seq > %(above)s ORDER BY seq DESC LIMIT %(scan)s) p
          WHERE %(by)s = 'account' AND b.ledger_id = %(ledger_id)s AND b.account_id = %(account_id)s)
        UNION
        (SELECT seq FROM projections.search
          WHERE %(by)s = 'date' AND version = %(version)s AND ledger_id = %(ledger_id)s
            AND effective_at >= %(start)s AND effective_at < %(end)s AND seq < %(below)s AND seq > %(above)s
          ORDER BY seq DESC LIMIT %(scan)s)
        UNION
        (SELECT seq FROM projections.search
          WHERE %(by)s = 'seq' AND version = %(version)s AND ledger_id = %(ledger_id)s
            AND seq < %(below)s AND seq > %(above)s
          ORDER BY version DESC, ledger_id DESC, seq DESC LIMIT %(scan)s)) found
     ORDER BY seq DESC LIMIT %(scan)s
)
SELECT c.seq, s.seq IS NOT NULL
  FROM candidates c
  LEFT JOIN LATERAL (
    SELECT seq FROM projections.search r
     WHERE r.version = %(version)s AND r.ledger_id = %(ledger_id)s AND r.seq = c.seq
       AND (%(type)s::text IS NULL OR r.type = %(type)s)
       AND r.effective_at >= %(start)s AND r.effective_at < %(end)s
       AND (%(account_id)s::integer IS NULL OR r.accounts @> ARRAY[%(account_id)s::integer])
       AND (%(asset_id)s::integer IS NULL OR EXISTS (
            SELECT FROM unnest(r.assets, r.amounts) AS leg (asset_id, amount)
             WHERE leg.asset_id = %(asset_id)s AND leg.amount BETWEEN %(amount_min)s AND %(amount_max)s))
       AND NOT EXISTS (
            SELECT FROM unnest(%(firsts)s::bytea[], %(seconds)s::bytea[]) AS wanted (one, other)
             WHERE NOT EXISTS (
                SELECT FROM projections.search_terms t
                 WHERE t.version = %(version)s AND t.ledger_id = %(ledger_id)s
                   AND t.term = ANY (ARRAY[wanted.one, wanted.other]) AND t.seq = r.seq))
     OFFSET 0) s ON true
 ORDER BY c.seq DESC;

-- name: days
-- Days of one place from `start` to `end`, beyond a day, and what all days before add.
SELECT day, debits_posted, credits_posted, debits_pending, credits_pending
  FROM projections.daily_balances
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
   AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s)
   AND day >= %(start)s AND day <= %(end)s AND day > %(after)s
 ORDER BY day LIMIT %(limit)s;

-- name: days_before
SELECT coalesce(sum(debits_posted), 0), coalesce(sum(credits_posted), 0), coalesce(sum(debits_pending), 0),
       coalesce(sum(credits_pending), 0)
  FROM projections.daily_balances
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND account_id = %(account_id)s
   AND asset_id = (SELECT asset_id FROM daybook.assets WHERE ledger_id = %(ledger_id)s AND asset = %(asset)s)
   AND day < %(day)s;

-- name: activity
-- An account's legs of every asset, the latest effective first.
SELECT l.effective_at, l.seq, l.leg, l.kind, l.amount, s.asset, e.recorded_at, e.type, e.body
  FROM (SELECT a.* FROM daybook.balances b
         CROSS JOIN LATERAL (
            SELECT * FROM projections.activity
             WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND account_id = b.account_id
               AND asset_id = b.asset_id AND effective_at >= %(start)s AND effective_at < %(end)s
               AND (effective_at, seq, leg) < (%(before_at)s, %(before_seq)s, %(before_leg)s)
             ORDER BY effective_at DESC, seq DESC, leg DESC LIMIT %(limit)s) a
         WHERE b.ledger_id = %(ledger_id)s AND b.account_id = %(account_id)s
         ORDER BY effective_at DESC, seq DESC, leg DESC LIMIT %(limit)s) l
  JOIN daybook.assets s ON s.ledger_id = %(ledger_id)s AND s.asset_id = l.asset_id
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = l.seq
 ORDER BY l.effective_at DESC, l.seq DESC, l.leg DESC;

-- name: assertions
SELECT a.seq, a.expected, a.tolerance, a.actual, a.failing_seq, e.body
  FROM (SELECT * FROM projections.assertions
         WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND seq > %(after)s
           AND (%(account_id)s::integer IS NULL OR account_id = %(account_id)s)
           AND CASE %(status)s WHEN 'passing' THEN failing_seq IS NULL ELSE true END
           AND (%(status)s IS DISTINCT FROM 'failing' OR failing_seq IS NOT NULL)
         ORDER BY seq LIMIT %(limit)s) a
  JOIN daybook.events e ON e.ledger_id = %(ledger_id)s AND e.seq = a.seq
 ORDER BY a.seq;
