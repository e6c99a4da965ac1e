-- Tree heads: those that the database has, and where its ledgers began new lives.

-- name: heads
-- Of every ledger that is open, as daybook_projector.
SELECT daybook.whole_name(l.tenant, l.name), l.public_id::text, h.incarnation, h.seq, h.root
  FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id) WHERE l.opened_at IS NOT NULL ORDER BY 1;

-- name: head
SELECT l.public_id::text, h.incarnation, h.seq, h.root
  FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id) WHERE h.ledger_id = %(ledger_id)s;

-- name: frontier
SELECT frontier FROM daybook.heads WHERE ledger_id = %(ledger_id)s;

-- name: restorations
-- The events that began new incarnations, in order.
SELECT seq, body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND type = 'ledger_restored' ORDER BY seq;

-- name: event
SELECT body FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = %(seq)s;
