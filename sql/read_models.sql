-- How the read models are filled, as daybook_projector: a range of events at a time, set-based.

-- name: is_scanned
-- Whether a range is so much of the book that scanning all posting rows is cheaper than reading its bodies.
SELECT (%(upto)s::bigint - %(after)s::bigint) * 16 >= seq, extract(year FROM recorded_at)::integer + 1
  FROM daybook.heads WHERE ledger_id = %(ledger_id)s;

-- name: add_activity
INSERT INTO projections.activity (version, ledger_id, account_id, asset_id, effective_at, seq, leg, kind, amount)
SELECT %(version)s, %(ledger_id)s, account_id, asset_id, effective_at, seq, leg, kind, amount
  FROM projections.legs(%(ledger_id)s, %(after)s, %(upto)s, %(scanning)s);

-- name: add_daily_balances
-- `starts` and `shifts` say what the days are (`ledger.days`). Legs are summed by the quarter of an hour first, which
-- is cheap, and those sums by the day. Since October 1979, when Kiritimati gave up 40 minutes, no zone's days begin
-- within a quarter; before, every moment stands for itself. A filter lets each leg enter one sum only.
INSERT INTO projections.daily_balances AS d
      (version, ledger_id, account_id, asset_id, day, debits_posted, credits_posted, debits_pending, credits_pending)
SELECT %(version)s, %(ledger_id)s, account_id, asset_id,
       greatest((quarter - (%(shifts)s::interval[])[width_bucket(quarter, %(starts)s::timestamptz[]) + 1])::date,
                '0001-01-01') AS day,
       coalesce(sum(debits_posted), 0), coalesce(-sum(credits_posted), 0),
       coalesce(sum(debits_pending), 0), coalesce(sum(credits_pending), 0)
  FROM (SELECT account_id, asset_id,
               CASE WHEN effective_at < '1979-10-03Z' THEN effective_at
                    ELSE date_bin('15 minutes', effective_at, '2000-01-01Z') END AS quarter,
               sum(amount) FILTER (WHERE kind = 0 AND amount > 0) AS debits_posted,
               sum(amount) FILTER (WHERE kind = 0 AND amount < 0) AS credits_posted,
               sum(CASE kind WHEN 1 THEN amount ELSE -amount END) FILTER (WHERE kind > 0 AND amount > 0) AS debits_pending,
               sum(CASE kind WHEN 1 THEN -amount ELSE amount END) FILTER (WHERE kind > 0 AND amount < 0) AS credits_pending
          FROM projections.legs(%(ledger_id)s, %(after)s, %(upto)s, %(scanning)s)
         GROUP BY account_id, asset_id, quarter) quarters
 GROUP BY account_id, asset_id, day
    ON CONFLICT (version, ledger_id, account_id, asset_id, day) DO UPDATE
   SET debits_posted = d.debits_posted + excluded.debits_posted,
       credits_posted = d.credits_posted + excluded.credits_posted,
       debits_pending = d.debits_pending + excluded.debits_pending,
       credits_pending = d.credits_pending + excluded.credits_pending;

-- name: add_search
-- Transactions with their accounts and amounts, each once, and what they are found by.
WITH wanted AS MATERIALIZED (
    SELECT seq, effective_at, type, convert_from(body, 'UTF8')::jsonb AS body
      FROM daybook.events
     WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s
       AND (legs > 0 OR type = %(remark)s)
), legs AS MATERIALIZED (
    SELECT w.seq, a.account_id, s.asset_id, l.amount
      FROM wanted w
     CROSS JOIN LATERAL jsonb_to_recordset(w.body -> 'postings') AS l (account text, asset text, amount bigint)
     CROSS JOIN LATERAL (SELECT account_id FROM daybook.accounts
                          WHERE ledger_id = %(ledger_id)s AND address = l.account OFFSET 0) a
     CROSS JOIN LATERAL (SELECT asset_id FROM daybook.assets
                          WHERE ledger_id = %(ledger_id)s AND asset = l.asset OFFSET 0) s
), amounts AS MATERIALIZED (
    SELECT DISTINCT seq, asset_id, amount FROM legs
), added_terms AS (
    INSERT INTO projections.search_terms (version, ledger_id, term, seq)
    SELECT %(version)s, %(ledger_id)s, term, seq
      FROM (SELECT seq, projections.reference_term(body ->> 'reference') AS term
              FROM wanted WHERE body ? 'reference' AND type <> %(remark)s
            UNION ALL
            SELECT seq, projections.pair_term('metadata', key, value)
              FROM wanted CROSS JOIN LATERAL jsonb_each_text(body -> 'metadata')
             WHERE type <> %(remark)s
            UNION ALL
            SELECT (body -> 'data' ->> 'transaction')::bigint, projections.pair_term('remark', key, value)
              FROM wanted CROSS JOIN LATERAL jsonb_each_text(body -> 'metadata')
             WHERE type = %(remark)s) t
        ON CONFLICT (version, ledger_id, term, seq) DO NOTHING
), added_amounts AS (
    INSERT INTO projections.search_amounts (version, ledger_id, asset_id, amount, seq)
    SELECT %(version)s, %(ledger_id)s, asset_id, amount, seq FROM amounts
)
INSERT INTO projections.search (version, ledger_id, seq, effective_at, type, accounts, assets, amounts)
SELECT %(version)s, %(ledger_id)s, w.seq, w.effective_at, w.type, a.accounts, b.assets, b.amounts
  FROM wanted w
  JOIN (SELECT seq, array_agg(DISTINCT account_id) AS accounts FROM legs GROUP BY seq) a USING (seq)
  JOIN (SELECT seq, array_agg(asset_id ORDER BY asset_id, amount) AS assets,
               array_agg(amount ORDER BY asset_id, amount) AS amounts FROM amounts GROUP BY seq) b USING (seq)
 WHERE w.type <> %(remark)s;

-- name: has_assertions
-- Whether any was made before the range ends.
SELECT EXISTS (SELECT FROM projections.assertions WHERE version = %(version)s AND ledger_id = %(ledger_id)s)
    OR EXISTS (SELECT FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s
                                            AND type = 'balance_asserted');

-- name: add_assertions
-- As they stood when they were made.
INSERT INTO projections.assertions
      (version, ledger_id, seq, account_id, asset_id, at, expected, tolerance, actual, failing_seq)
SELECT %(version)s, %(ledger_id)s, seq, account_id, asset_id, at, expected, tolerance, actual,
       CASE WHEN abs(actual::numeric - expected) > tolerance THEN seq END
  FROM (SELECT e.seq, a.account_id, s.asset_id, (d.data ->> 'at')::timestamptz AS at,
               (d.data ->> 'expected')::bigint AS expected, (d.data ->> 'tolerance')::bigint AS tolerance,
               (SELECT coalesce(sum(p.amount), 0) FROM daybook.postings p
                 WHERE p.ledger_id = e.ledger_id AND p.account_id = a.account_id AND p.asset_id = s.asset_id
                   AND p.seq < e.seq AND p.kind = 0 AND p.effective_at <= (d.data ->> 'at')::timestamptz)
               * projections.normal_sign(a.terms) AS actual
          FROM daybook.events e
         CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
          JOIN daybook.accounts a ON a.ledger_id = e.ledger_id AND a.address = d.data ->> 'account'
          JOIN daybook.assets s ON s.ledger_id = e.ledger_id AND s.asset = d.data ->> 'asset'
         WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
           AND e.type = 'balance_asserted') made;

-- name: judge_assertions
-- What the range's legs change in assertions made before each of them, event by event: `failing_seq` is the
-- first event after the last one at which the assertion held.
WITH legs AS MATERIALIZED (
    SELECT account_id, asset_id, seq, effective_at, amount
      FROM projections.legs(%(ledger_id)s, %(after)s, %(upto)s, %(scanning)s) WHERE kind = 0
), steps AS (
    SELECT a.seq AS assertion, l.seq, sum(l.amount) * projections.normal_sign(c.terms) AS change
      FROM legs l
      JOIN projections.assertions a
        ON a.version = %(version)s AND a.ledger_id = %(ledger_id)s AND a.account_id = l.account_id
       AND a.asset_id = l.asset_id AND a.at >= l.effective_at AND a.seq < l.seq
      JOIN daybook.accounts c ON c.ledger_id = %(ledger_id)s AND c.account_id = a.account_id
     GROUP BY a.seq, l.seq, c.terms
), states AS (
    SELECT assertion, s.seq, a.failing_seq AS failed_before,
           a.actual + sum(change) OVER (PARTITION BY assertion ORDER BY s.seq) AS actual,
           abs(a.actual + sum(change) OVER (PARTITION BY assertion ORDER BY s.seq) - a.expected) > a.tolerance AS failing
      FROM steps s
      JOIN projections.assertions a
        ON a.version = %(version)s AND a.ledger_id = %(ledger_id)s AND a.seq = s.assertion
), held AS (
    SELECT assertion, max(seq) FILTER (WHERE NOT failing) AS last_held FROM states GROUP BY assertion
), ends AS (
    SELECT DISTINCT ON (s.assertion) s.assertion, s.actual, s.failing,
           CASE WHEN h.last_held IS NULL AND s.failed_before IS NOT NULL THEN s.failed_before
                ELSE (SELECT min(f.seq) FROM states f WHERE f.assertion = s.assertion AND f.seq > coalesce(h.last_held, 0))
           END AS failing_seq
      FROM states s JOIN held h USING (assertion)
     ORDER BY s.assertion, s.seq DESC
)
UPDATE projections.assertions a SET actual = e.actual, failing_seq = e.failing_seq
  FROM ends e
 WHERE a.version = %(version)s AND a.ledger_id = %(ledger_id)s AND a.seq = e.assertion;
