-- Loans as the book's own tables have them.

-- name: count_loans
SELECT count(*) FROM daybook.streams WHERE ledger_id = %(ledger_id)s AND kind = 'loan';
