-- Loans as the book's own tables have them.

-- name: count_loans
SELECT count(*) FROM daybook.streams WHERE ledger_id = %(ledger_id)s AND kind = 'loan';

-- name: collection_notes
-- What was noted on a loan's collection cases, beyond the note of event `after`.
SELECT e.body
  FROM daybook.event_streams s JOIN daybook.events e USING (ledger_id, seq)
 WHERE s.ledger_id = %(ledger_id)s AND s.stream = %(stream)s AND s.seq > %(after)s AND e.type = 'collection_note_added'
 ORDER BY s.version LIMIT %(limit)s;
