-- The read model of arrears: filled as daybook_projector, read as daybook_reader.

-- name: add_arrears_loans
-- The loans that the range approves. A credit provider's offer can take the place of ours.
INSERT INTO projections.arrears_loans (version, ledger_id, grace_days, loan, asset, provider)
SELECT DISTINCT ON (data ->> 'loan') %(version)s, %(ledger_id)s, coalesce((data -> 'policy' ->> 'grace_days')::integer, 0), data ->> 'loan',
       data -> 'offer' ->> 'asset', coalesce(data -> 'offer' ->> 'provider', '')
  FROM daybook.events e
 CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
 WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
   AND e.type IN ('loan_approved', 'loan_offer_accepted')
 ORDER BY data ->> 'loan', e.seq DESC
    ON CONFLICT (version, ledger_id, loan) DO UPDATE
   SET grace_days = excluded.grace_days, asset = excluded.asset, provider = excluded.provider;

-- name: drop_exposures
-- What the range says anew: each event of a loan from a day on.
WITH said AS (
    SELECT d.data ->> 'loan' AS loan, min((d.data -> 'exposures' ->> 'from')::date) AS since
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type = ANY (%(types)s) AND d.data ? 'exposures'
     GROUP BY 1
)
DELETE FROM projections.arrears_exposures x USING said s
 WHERE x.version = %(version)s AND x.ledger_id = %(ledger_id)s AND x.loan = s.loan AND x.day >= s.since;

-- name: add_exposures
-- Of the days that an event says, those that no later event of the range says anew.
WITH said AS MATERIALIZED (
    SELECT e.seq, d.data ->> 'loan' AS loan, d.data -> 'exposures' AS exposures
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type = ANY (%(types)s) AND d.data ? 'exposures'
), holding AS (
    SELECT loan, exposures -> 'days' AS days,
           min((exposures ->> 'from')::date)
               OVER (PARTITION BY loan ORDER BY seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until
      FROM said
)
INSERT INTO projections.arrears_exposures (version, ledger_id, principal, day, oldest_due, loan)
SELECT %(version)s, %(ledger_id)s, (day ->> 1)::bigint, (day ->> 0)::date, (day ->> 2)::date, loan
  FROM holding CROSS JOIN LATERAL jsonb_array_elements(days) AS day
 WHERE until IS NULL OR (day ->> 0)::date < until;

-- name: portfolio
-- What is outstanding on a day by asset, whose it is and how many days it is past due beyond the days of grace.
SELECT l.asset, l.provider <> '' AS provided, p.days, count(*), sum(x.principal)
  FROM projections.arrears_loans l
 CROSS JOIN LATERAL (
       SELECT principal, oldest_due FROM projections.arrears_exposures e
        WHERE e.version = l.version AND e.ledger_id = l.ledger_id AND e.loan = l.loan AND e.day <= %(on)s
        ORDER BY e.day DESC LIMIT 1) x
 CROSS JOIN LATERAL (
       SELECT CASE WHEN %(on)s - x.oldest_due > l.grace_days THEN %(on)s - x.oldest_due ELSE 0 END AS days) p
 WHERE l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND x.principal <> 0
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
