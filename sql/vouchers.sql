-- Programmes and vouchers, read as daybook_reader: row-level security shows only the ledger of `find_ledger`.

-- name: programme_figures
-- Debits less credits of the programme's accounts at head: trust, fund, outstanding, payables, fees, operating, cost.
SELECT h.seq,
       coalesce(sum(f.amount) FILTER (WHERE f.address = %(trust)s), 0),
       coalesce(sum(f.amount) FILTER (WHERE f.address = %(fund)s), 0),
       coalesce(sum(f.amount) FILTER (WHERE f.address = %(outstanding)s), 0),
       coalesce(sum(f.amount) FILTER (WHERE starts_with(f.address, %(payables)s)), 0),
       coalesce(sum(f.amount) FILTER (WHERE starts_with(f.address, %(fees)s)), 0)
  FROM daybook.heads h
  LEFT JOIN (
       SELECT a.address, b.debits_posted - b.credits_posted AS amount
         FROM daybook.accounts a
         JOIN daybook.balances b ON b.ledger_id = a.ledger_id AND b.account_id = a.account_id
         JOIN daybook.assets s ON s.ledger_id = b.ledger_id AND s.asset_id = b.asset_id AND s.asset = %(asset)s
        WHERE a.ledger_id = %(ledger_id)s
          AND (a.address = ANY (%(named)s) OR starts_with(a.address, %(payables)s) OR starts_with(a.address, %(fees)s))
       ) f ON true
 WHERE h.ledger_id = %(ledger_id)s
 GROUP BY h.seq;
