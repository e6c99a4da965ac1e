-- Kredit's side. Details as daybook_access, which row-level security holds to the tenant of the transaction; the rest
-- as daybook_reader, which sees one ledger.

-- name: work_for
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- name: details
SELECT sealed FROM access.kredit_details
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND subject = %(subject)s;

-- name: keep_details
INSERT INTO access.kredit_details (told_at, tenant, ledger, subject, sealed)
VALUES (clock_timestamp(), %(tenant)s, %(ledger)s, %(subject)s, %(sealed)s)
    ON CONFLICT (tenant, ledger, subject) DO UPDATE SET told_at = excluded.told_at, sealed = excluded.sealed;

-- name: lock_subject
-- Until the transaction ends: one process at a time asks the provider for a session's address.
SELECT pg_advisory_xact_lock(hashtext('kredit ' || %(tenant)s || '/' || %(ledger)s), hashtext(%(subject)s));

-- name: usage
-- Verifications that were completed in a span of time: the names of their streams have the moment.
SELECT count(*), coalesce(sum((state::json ->> 'units')::bigint), 0)::bigint,
       coalesce(sum((state::json ->> 'amount')::bigint) FILTER (WHERE state::json ->> 'asset' = %(asset)s), 0)::bigint
  FROM daybook.streams
 WHERE ledger_id = %(ledger_id)s AND kind = 'kyc_usage'
   AND stream COLLATE "C" >= %(first)s AND stream COLLATE "C" < %(beyond)s;

-- name: loan_figures
-- Of one ledger with loans: applications, loans, borrowers; what was disbursed and what is owed, in one asset.
SELECT count(*), count(*) FILTER (WHERE status NOT IN ('submitted', 'rejected', 'withdrawn')),
       (SELECT count(*) FROM projections.borrowers WHERE version = %(version)s AND ledger_id = %(ledger_id)s),
       coalesce(sum(disbursed) FILTER (WHERE asset = %(asset)s), 0)::bigint,
       coalesce(sum(principal + interest + fee + penalty) FILTER (WHERE asset = %(asset)s), 0)::bigint
  FROM projections.loans WHERE version = %(version)s AND ledger_id = %(ledger_id)s;

-- name: loan_income
-- What was earned on loans: interest, fees, penalties.
SELECT coalesce(sum(b.credits_posted - b.debits_posted), 0)::bigint
  FROM daybook.accounts a
  JOIN daybook.balances b ON b.ledger_id = a.ledger_id AND b.account_id = a.account_id
  JOIN daybook.assets s ON s.ledger_id = b.ledger_id AND s.asset_id = b.asset_id
 WHERE a.ledger_id = %(ledger_id)s AND s.asset = %(asset)s
   AND a.address IN ('loans:interest_income', 'loans:fee_income', 'loans:penalty_income');

-- name: count_loans
SELECT count(*) FROM projections.loans
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND status NOT IN ('submitted', 'rejected', 'withdrawn')
   AND (loan ILIKE %(search)s OR borrower ILIKE %(search)s);

-- name: loan_names
-- The names on a page of a table; what Kredit calls a loan is approved at least.
SELECT loan FROM projections.loans
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND status NOT IN ('submitted', 'rejected', 'withdrawn')
   AND (loan ILIKE %(search)s OR borrower ILIKE %(search)s)
 ORDER BY loan OFFSET %(offset)s LIMIT %(limit)s;

-- name: count_borrowers
SELECT count(*) FROM projections.borrowers
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND borrower ILIKE %(search)s;

-- name: borrower_rows
-- A page of a table of borrowers, with what their loans come to on a day.
SELECT b.borrower, b.kyc, b.rating, b.score, b.assessed_at,
       count(l.loan) FILTER (WHERE l.status NOT IN ('submitted', 'rejected', 'withdrawn')),
       count(l.loan) FILTER (WHERE l.status = 'active' AND (l.non_accrual OR l.charged_off)),
       count(l.loan) FILTER (WHERE l.status = 'active' AND NOT l.non_accrual AND NOT l.charged_off
                               AND %(on)s::date - l.oldest_due > l.grace_days)
  FROM (SELECT * FROM projections.borrowers
         WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND borrower ILIKE %(search)s
         ORDER BY borrower OFFSET %(offset)s LIMIT %(limit)s) b
  LEFT JOIN projections.loans l ON l.version = b.version AND l.ledger_id = b.ledger_id AND l.borrower = b.borrower
 GROUP BY b.borrower, b.kyc, b.rating, b.score, b.assessed_at ORDER BY b.borrower;
