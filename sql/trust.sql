-- What the trust report is made of, from the read models, as daybook_reader.

-- name: trust_days
-- What each day adds to a programme's trust account, and to what is owed from it: fund, open vouchers, payees.
SELECT split_part(a.address, ':', 2) AS programme, s.asset, d.day,
       sum(CASE split_part(a.address, ':', 3) WHEN 'trust' THEN d.debits_posted - d.credits_posted ELSE 0 END)::bigint,
       sum(CASE split_part(a.address, ':', 3) WHEN 'fund' THEN d.credits_posted - d.debits_posted ELSE 0 END)::bigint,
       sum(CASE split_part(a.address, ':', 3) WHEN 'outstanding' THEN d.credits_posted - d.debits_posted ELSE 0 END)::bigint,
       sum(CASE split_part(a.address, ':', 3) WHEN 'payable' THEN d.credits_posted - d.debits_posted ELSE 0 END)::bigint
  FROM daybook.accounts a
  JOIN projections.daily_balances d ON d.version = %(version)s AND d.ledger_id = a.ledger_id AND d.account_id = a.account_id
  JOIN daybook.assets s ON s.ledger_id = a.ledger_id AND s.asset_id = d.asset_id
 WHERE a.ledger_id = %(ledger_id)s AND starts_with(a.address, 'vouchers:')
   AND split_part(a.address, ':', 3) IN ('trust', 'fund', 'outstanding', 'payable')
   AND (%(programme)s::text IS NULL OR split_part(a.address, ':', 2) = %(programme)s) AND d.day <= %(upto)s
 GROUP BY 1, 2, 3
 ORDER BY split_part(a.address, ':', 2) COLLATE "C", s.asset COLLATE "C", d.day;

-- name: told_balances
-- What was said of trust accounts from outside; the last of a place and moment is the one that holds.
SELECT split_part(a.address, ':', 2) AS programme, s.asset, x.at, x.expected, x.actual
  FROM projections.assertions x
  JOIN daybook.accounts a ON a.ledger_id = x.ledger_id AND a.account_id = x.account_id
  JOIN daybook.assets s ON s.ledger_id = x.ledger_id AND s.asset_id = x.asset_id
 WHERE x.version = %(version)s AND x.ledger_id = %(ledger_id)s AND starts_with(a.address, 'vouchers:')
   AND split_part(a.address, ':', 3) = 'trust'
   AND (%(programme)s::text IS NULL OR split_part(a.address, ':', 2) = %(programme)s)
 ORDER BY x.at, x.seq;
