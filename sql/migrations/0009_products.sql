-- Streams of products: found by their kind, and by the moment when they must be decided again.

ALTER TABLE daybook.streams ADD COLUMN due_at timestamptz;
COMMENT ON COLUMN daybook.streams.due_at IS 'When the stream must be decided by itself: a lot or a voucher of it expires.';

CREATE INDEX streams_due ON daybook.streams (ledger_id, due_at, stream COLLATE "C") WHERE due_at IS NOT NULL;
CREATE INDEX streams_of_kind ON daybook.streams (ledger_id, kind, stream COLLATE "C") WHERE kind <> 'transaction';

COMMENT ON COLUMN daybook.heads.next_expiry IS 'Nothing that expires does so before this moment; null: nothing expires.';
