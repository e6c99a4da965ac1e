-- The read model of borrowers' payments: filled as daybook_projector, read as daybook_reader.

-- name: move_payments
-- The last that the range says of each payment; it began when its first event says.
WITH said AS MATERIALIZED (
    SELECT e.seq, e.effective_at, d.data -> 'payment' AS payment, d.data -> 'payment' -> 'paid' AS paid
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type = ANY (%(types)s) AND d.data ? 'payment'
), whole AS (
    SELECT DISTINCT ON (paid ->> 'payment') seq, payment, paid,
           first_value(effective_at) OVER (PARTITION BY paid ->> 'payment' ORDER BY seq) AS created_at,
           (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(payment -> 'refunds')) AS charged_back
      FROM said ORDER BY paid ->> 'payment', seq DESC
)
INSERT INTO projections.loan_payments
      (version, ledger_id, seq, amount, in_suspense, refunded, created_at, received_at, payment, method, asset, status,
       loan, borrower, reference, matched_by)
SELECT %(version)s, %(ledger_id)s, seq, (paid ->> 'amount')::bigint, coalesce((payment ->> 'in_suspense')::bigint, 0),
       coalesce((payment ->> 'returned')::bigint, 0) + charged_back, created_at,
       timestamptz 'epoch' + (payment ->> 'received_at')::bigint * interval '1 microsecond',
       paid ->> 'payment', paid ->> 'method', paid ->> 'asset', payment ->> 'status', coalesce(payment ->> 'loan', ''),
       coalesce(paid ->> 'borrower', ''), coalesce(paid ->> 'reference', ''), coalesce(payment ->> 'matched_by', '')
  FROM whole
ON CONFLICT (version, ledger_id, payment) DO UPDATE
   SET seq = excluded.seq, in_suspense = excluded.in_suspense, refunded = excluded.refunded,
       received_at = excluded.received_at, status = excluded.status, loan = excluded.loan, matched_by = excluded.matched_by;

-- name: payments
-- Payments beyond a name by every filter that is given.
SELECT payment, method, asset, amount, status, in_suspense, refunded, loan, borrower, reference, matched_by, created_at,
       received_at, seq
  FROM projections.loan_payments
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND payment > %(after)s
   AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(method)s::text IS NULL OR method = %(method)s)
   AND (%(loan)s::text IS NULL OR loan = %(loan)s) AND (%(borrower)s::text IS NULL OR borrower = %(borrower)s)
   AND (%(asset)s::text IS NULL OR asset = %(asset)s)
   AND created_at >= %(from)s AND (%(before)s::timestamptz IS NULL OR created_at < %(before)s)
 ORDER BY payment LIMIT %(limit)s;

-- name: payment_figures
-- What payments come to by asset, status and method; all, or those that a borrower is said to pay or whose loans they repaid.
SELECT asset, status, method, count(*), sum(amount), sum(in_suspense), sum(refunded)
  FROM projections.loan_payments
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s
   AND (%(borrower)s::text IS NULL OR borrower = %(borrower)s 
        OR loan IN (SELECT loan FROM projections.loans
                     WHERE version = %(loans_version)s AND ledger_id = %(ledger_id)s AND borrower = %(borrower)s))
 GROUP BY asset, status, method ORDER BY asset, status, method;
