-- What a reconciliation reads of the ledger, as daybook_reader: row-level security shows only the ledger of `find_ledger`.

-- name: account_items
-- Every posted leg of an account up to a seq that counts between two moments: one pass over the account.
SELECT p.seq, p.leg, p.amount, p.effective_at, s.asset, convert_from(e.body, 'UTF8')::json ->> 'reference'
  FROM daybook.postings p
  JOIN daybook.events e ON e.ledger_id = p.ledger_id AND e.seq = p.seq
  JOIN daybook.assets s ON s.ledger_id = p.ledger_id AND s.asset_id = p.asset_id
 WHERE p.ledger_id = %(ledger_id)s AND p.account_id = %(account_id)s AND p.kind = 0 AND p.seq <= %(known_at)s
   AND p.effective_at >= %(from)s::timestamptz AND p.effective_at < %(to)s::timestamptz;
