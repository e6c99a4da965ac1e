-- What projections run as daybook_projector: which ledgers are behind, one range at a time, and versions.

-- name: behind
-- Live versions that lack events, those longest unmoved first; `since` narrows it to ledgers written lately.
SELECT v.projection, v.version, h.ledger_id, c.seq IS NULL
  FROM daybook.heads h
 CROSS JOIN projections.versions v
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = h.ledger_id AND c.projection = v.projection AND c.version = v.version
 WHERE v.state = 'live' AND v.projection = ANY (%(projections)s)
   AND h.seq > coalesce(c.seq, 0) AND coalesce(c.state, 'running') = 'running'
   AND (%(since)s::timestamptz IS NULL OR h.recorded_at > %(since)s)
 ORDER BY c.moved_at NULLS FIRST, h.ledger_id LIMIT %(limit)s;

-- name: clock
SELECT clock_timestamp();

-- name: begin_checkpoint
INSERT INTO projections.checkpoints (ledger_id, projection, version, seq)
VALUES (%(ledger_id)s, %(projection)s, %(version)s, 0) ON CONFLICT DO NOTHING;

-- name: lock_checkpoint
-- No row: another worker has it, it is stopped, or the version is not in this state any more.
SELECT c.seq
  FROM projections.checkpoints c JOIN projections.versions v USING (projection, version)
 WHERE c.ledger_id = %(ledger_id)s AND c.projection = %(projection)s AND c.version = %(version)s
   AND c.state = 'running' AND v.state = %(state)s
   FOR UPDATE OF c SKIP LOCKED;

-- name: head
-- A statement of its own, after the lock: everything up to this seq is there for the statements that follow.
SELECT h.seq, l.time_zone FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id)
 WHERE h.ledger_id = %(ledger_id)s;

-- name: move_checkpoint
UPDATE projections.checkpoints SET seq = %(upto)s, moved_at = clock_timestamp(), rate = %(rate)s
 WHERE ledger_id = %(ledger_id)s AND projection = %(projection)s AND version = %(version)s AND seq = %(after)s;

-- name: stop
UPDATE projections.checkpoints SET state = 'stopped', error_seq = seq + 1, error = %(error)s
 WHERE ledger_id = %(ledger_id)s AND projection = %(projection)s AND version = %(version)s
   AND seq = %(after)s AND state = 'running';

-- name: resume
UPDATE projections.checkpoints c SET state = 'running', error_seq = NULL, error = NULL
  FROM projections.versions v
 WHERE c.projection = v.projection AND c.version = v.version AND v.state = 'live'
   AND c.state = 'stopped' AND c.projection = ANY (%(projections)s)
   AND (%(ledger_id)s::integer IS NULL OR c.ledger_id = %(ledger_id)s)
RETURNING c.ledger_id;

-- name: lock_versions
-- One at a time makes, swaps or drops versions. The number is arbitrary: "versions" in ASCII.
SELECT pg_advisory_xact_lock(8531350909138988659);

-- name: versions
SELECT projection, version, state, code_version, difference FROM projections.versions
 WHERE projection = ANY (%(projections)s) ORDER BY projection, version;

-- name: insert_version
INSERT INTO projections.versions (projection, version, code_version, state)
SELECT %(projection)s, coalesce(max(version), 0) + 1, %(code_version)s, %(state)s
  FROM projections.versions WHERE projection = %(projection)s
RETURNING version;

-- name: create_partition
-- Made apart and then attached, because CREATE TABLE ... PARTITION OF would lock readers out of the table.
CREATE TABLE projections.{partition} (LIKE projections.{table} INCLUDING ALL);

-- name: attach_partition
ALTER TABLE projections.{table} ATTACH PARTITION projections.{partition} FOR VALUES IN ({version});

-- name: position
-- As daybook_reader: the live version and its checkpoint in the ledger of this transaction.
SELECT v.version, coalesce(c.seq, 0), c.error_seq
  FROM projections.versions v
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = %(ledger_id)s AND c.projection = v.projection AND c.version = v.version
 WHERE v.projection = %(projection)s AND v.state = 'live';
