-- The read model of loans: filled as daybook_projector, read as daybook_reader.

-- name: add_loans
-- The applications of the range.
WITH said AS MATERIALIZED (
    SELECT e.seq, e.effective_at, convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data
      FROM daybook.events e
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type = 'loan_application_submitted'
)
INSERT INTO projections.loans
      (version, ledger_id, seq, requested, disbursed, principal, interest, fee, penalty, overpaid, submitted_at,
       grace_days, instalments, non_accrual, charged_off, daily, loan, borrower, asset, status, provider, method, rate)
SELECT %(version)s, %(ledger_id)s, seq, (data ->> 'amount')::bigint, 0, 0, 0, 0, 0, 0, effective_at,
       0, 0, false, false, false, data ->> 'loan', data ->> 'borrower', data ->> 'asset', data ->> 'status', '', '', ''
  FROM said;

-- name: offer_loans
-- What the range offers: the terms of loans.
WITH said AS MATERIALIZED (
    SELECT DISTINCT ON (loan) d.data ->> 'loan' AS loan, d.data -> 'offer' AS offer, d.data -> 'policy' AS policy
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type IN ('loan_approved', 'loan_offer_accepted')
     ORDER BY loan, e.seq DESC
)
UPDATE projections.loans l
   SET amount = (offer ->> 'amount')::bigint, instalments = (offer ->> 'count')::integer,
       provider = coalesce(offer ->> 'provider', ''), method = offer -> 'interest' ->> 'method',
       rate = offer -> 'interest' ->> 'rate', daily = coalesce(offer -> 'interest' -> 'daily', 'null') <> 'null',
       grace_days = coalesce((policy ->> 'grace_days')::integer, 0),
       non_accrual_days = CASE WHEN policy ? 'non_accrual_days' THEN (policy ->> 'non_accrual_days')::integer ELSE 90 END
  FROM said
 WHERE l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.loan = said.loan;

-- name: move_loans
-- Where the range leaves loans: the status of the last event of each, the debt of the last that says it.
WITH said AS MATERIALIZED (
    SELECT e.seq, d.data ->> 'loan' AS loan, d.data ->> 'status' AS status, d.data -> 'owed' AS owed,
           d.data -> 'standing' AS standing
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type LIKE 'loan\_%%'
       AND d.data ? 'loan' AND d.data ? 'status'
), moved AS (
    SELECT DISTINCT ON (loan) loan, seq, status FROM said ORDER BY loan, seq DESC
), stood AS (
    SELECT DISTINCT ON (loan) loan, owed, standing FROM said WHERE standing IS NOT NULL ORDER BY loan, seq DESC
)
UPDATE projections.loans l
   SET seq = m.seq, status = m.status,
       principal = CASE WHEN s.loan IS NULL THEN l.principal ELSE coalesce((s.owed ->> 'principal')::bigint, 0) END,
       interest = CASE WHEN s.loan IS NULL THEN l.interest ELSE coalesce((s.owed ->> 'interest')::bigint, 0) END,
       fee = CASE WHEN s.loan IS NULL THEN l.fee ELSE coalesce((s.owed ->> 'fee')::bigint, 0) END,
       penalty = CASE WHEN s.loan IS NULL THEN l.penalty ELSE coalesce((s.owed ->> 'penalty')::bigint, 0) END,
       disbursed = CASE WHEN s.loan IS NULL THEN l.disbursed ELSE coalesce((s.standing ->> 'disbursed')::bigint, 0) END,
       overpaid = CASE WHEN s.loan IS NULL THEN l.overpaid ELSE coalesce((s.standing ->> 'overpaid')::bigint, 0) END,
       oldest_due = CASE WHEN s.loan IS NULL THEN l.oldest_due ELSE (s.standing ->> 'oldest_due')::date END,
       non_accrual = CASE WHEN s.loan IS NULL THEN l.non_accrual ELSE s.standing ? 'non_accrual' END,
       charged_off = CASE WHEN s.loan IS NULL THEN l.charged_off ELSE s.standing ? 'charged_off' END
  FROM moved m LEFT JOIN stood s ON s.loan = m.loan
 WHERE l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.loan = m.loan;

-- name: assess_borrowers
-- The last that the range says of borrowers.
WITH said AS MATERIALIZED (
    SELECT e.seq, e.effective_at, d.data ->> 'borrower' AS borrower, d.data -> 'assessment' AS assessment
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type = 'borrower_assessed'
)
INSERT INTO projections.borrowers (version, ledger_id, seq, score, assessed_at, borrower, kyc, rating)
SELECT DISTINCT ON (borrower) %(version)s, %(ledger_id)s, seq, (assessment ->> 'score')::integer, effective_at, borrower,
       coalesce(assessment ->> 'kyc', 'pending'), assessment ->> 'rating'
  FROM said ORDER BY borrower, seq DESC
ON CONFLICT (version, ledger_id, borrower) DO UPDATE
   SET seq = excluded.seq, score = excluded.score, assessed_at = excluded.assessed_at, kyc = excluded.kyc,
       rating = excluded.rating;

-- name: set_kyc
-- KYC status where that is the last that the range says of a borrower.
WITH said AS MATERIALIZED (
    SELECT DISTINCT ON (borrower) e.seq, e.effective_at, d.data ->> 'borrower' AS borrower, d.data ->> 'kyc' AS kyc
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type IN ('borrower_assessed', 'borrower_kyc_set')
     ORDER BY borrower, e.seq DESC
)
INSERT INTO projections.borrowers (version, ledger_id, seq, assessed_at, borrower, kyc)
SELECT %(version)s, %(ledger_id)s, seq, effective_at, borrower, kyc FROM said WHERE kyc IS NOT NULL
ON CONFLICT (version, ledger_id, borrower) DO UPDATE SET seq = excluded.seq, kyc = excluded.kyc;

-- name: loans
-- Loans beyond a name as they are on a day, by every filter that is given.
SELECT loan, borrower, status, kredit_status, asset, requested, amount, disbursed, principal, interest, fee, penalty,
       overpaid, past_due, oldest_due, instalments, rate, method, daily, provider, submitted_at, seq
  FROM (SELECT l.*, d.past_due,
               CASE WHEN status IN ('approved', 'accepted') THEN 'PENDING_DISBURSEMENT'
                    WHEN status IN ('repaid', 'overpaid') THEN 'COMPLETED'
                    WHEN status IN ('written_off', 'recovery') THEN 'WRITTEN_OFF'
                    WHEN status <> 'active' THEN NULL
                    WHEN charged_off OR non_accrual OR (provider = '' AND d.past_due > non_accrual_days) THEN 'DEFAULTED'
                    WHEN d.past_due > 0 THEN 'IN_ARREARS'
                    ELSE 'ACTIVE' END AS kredit_status
          FROM projections.loans l
         CROSS JOIN LATERAL (SELECT CASE WHEN %(on)s::date - oldest_due > grace_days THEN %(on)s::date - oldest_due
                                         ELSE 0 END AS past_due) d
         WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND loan > %(after)s
           AND (%(names)s::text[] IS NULL OR loan = ANY (%(names)s))
           AND (%(borrower)s::text IS NULL OR borrower = %(borrower)s)
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(asset)s::text IS NULL OR asset = %(asset)s)
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
           AND submitted_at >= %(from)s
           AND (%(before)s::timestamptz IS NULL OR submitted_at < %(before)s)
           AND (%(past_due)s::integer IS NULL OR (oldest_due <= %(on)s::date - %(past_due)s::integer AND d.past_due > 0))) found
 WHERE %(kredit_status)s::text IS NULL OR kredit_status = %(kredit_status)s
 ORDER BY loan LIMIT %(limit)s;

-- name: borrowers
SELECT borrower, kyc, rating, score, assessed_at, seq
  FROM projections.borrowers
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND borrower > %(after)s
   AND (%(kyc)s::text IS NULL OR kyc = %(kyc)s) AND (%(rating)s::text IS NULL OR rating = %(rating)s)
 ORDER BY borrower LIMIT %(limit)s;

-- name: loan_figures
-- What loans come to by asset and status, on a day; all, or those of a borrower.
SELECT asset, status, count(*), sum(coalesce(amount, requested)), sum(disbursed), sum(principal), sum(interest), sum(fee),
       sum(penalty), sum(overpaid), count(*) FILTER (WHERE late), coalesce(sum(principal) FILTER (WHERE late), 0),
       count(amount)
  FROM (SELECT l.*, status = 'active' AND %(on)s::date - oldest_due > grace_days AS late
          FROM projections.loans l
         WHERE version = %(version)s AND ledger_id = %(ledger_id)s
           AND (%(borrower)s::text IS NULL OR borrower = %(borrower)s)) found
 GROUP BY asset, status ORDER BY asset, status;

-- name: borrower_figures
SELECT kyc, count(*) FROM projections.borrowers
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s GROUP BY kyc ORDER BY kyc;
