-- What projections run as daybook_projector: which ledgers are behind, one range at a time, and versions.

-- name: behind
-- Live versions that lack events, those longest unmoved first; `since` narrows it to ledgers written lately. `codes` are
-- of the projections: what later code has filled, earlier code leaves alone.
SELECT v.projection, v.version, h.ledger_id, c.seq IS NULL
  FROM daybook.heads h
 CROSS JOIN projections.versions v
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = h.ledger_id AND c.projection = v.projection AND c.version = v.version
 WHERE v.state = 'live'
   AND v.code_version <= (%(codes)s::integer[])[array_position(%(projections)s::text[], v.projection)]
   AND h.seq > coalesce(c.seq, 0) AND coalesce(c.state, 'running') = 'running'
   AND (%(since)s::timestamptz IS NULL OR h.recorded_at > %(since)s)
 ORDER BY c.moved_at NULLS FIRST, h.ledger_id LIMIT %(limit)s;

-- name: clock
SELECT clock_timestamp();

-- name: begin_checkpoint
-- It waits for a swap of the version, which could not lock a row that is not there yet.
INSERT INTO projections.checkpoints (ledger_id, projection, version, seq)
SELECT %(ledger_id)s, projection, version, 0 FROM projections.versions
 WHERE projection = %(projection)s AND version = %(version)s FOR KEY SHARE ON CONFLICT DO NOTHING;

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
  FROM projections.versions v, daybook.ledgers l
 WHERE c.projection = v.projection AND c.version = v.version AND v.state = %(state)s
   AND c.state = 'stopped' AND c.projection = ANY (%(projections)s)
   AND c.ledger_id = l.ledger_id AND (%(ledger)s::text IS NULL OR daybook.whole_name(l.tenant, l.name) = %(ledger)s)
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
CREATE TABLE {partition} (LIKE projections.{table} INCLUDING ALL);

-- name: attach_partition
ALTER TABLE projections.{table} ATTACH PARTITION {partition} FOR VALUES IN ({version});

-- name: position
-- As daybook_reader: the live version and its checkpoint in the ledger of this transaction.
SELECT v.version, coalesce(c.seq, 0), c.error_seq
  FROM projections.versions v
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = %(ledger_id)s AND c.projection = v.projection AND c.version = v.version
 WHERE v.projection = %(projection)s AND v.state = 'live';

-- name: lock_projection
-- For the session: one rebuild or rollback of a projection at a time.
SELECT pg_try_advisory_lock(hashtext('daybook.projections'), hashtext(%(projection)s));

-- name: unlock_projection
SELECT pg_advisory_unlock(hashtext('daybook.projections'), hashtext(%(projection)s));

-- name: ledgers
-- Every open ledger, and how far a version is in it; the one with most to do first.
SELECT l.ledger_id, daybook.whole_name(l.tenant, l.name), l.time_zone, h.seq, coalesce(c.seq, 0)
  FROM daybook.ledgers l JOIN daybook.heads h USING (ledger_id)
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = l.ledger_id AND c.projection = %(projection)s AND c.version = %(version)s
 WHERE h.seq > 0 AND (%(ledger)s::text IS NULL OR daybook.whole_name(l.tenant, l.name) = %(ledger)s)
 ORDER BY coalesce(c.seq, 0) - h.seq, l.ledger_id;

-- name: checkpoint
SELECT seq FROM projections.checkpoints
 WHERE ledger_id = %(ledger_id)s AND projection = %(projection)s AND version = %(version)s;

-- name: pin_checkpoint
-- It stays where it is until the transaction ends.
SELECT seq FROM projections.checkpoints
 WHERE ledger_id = %(ledger_id)s AND projection = %(projection)s AND version = %(version)s FOR UPDATE;

-- name: error
SELECT error_seq, error FROM projections.checkpoints
 WHERE ledger_id = %(ledger_id)s AND projection = %(projection)s AND version = %(version)s AND state = 'stopped';

-- name: stopped
SELECT ledger_id, seq FROM projections.checkpoints
 WHERE projection = %(projection)s AND version = %(version)s AND state = 'stopped';

-- name: progress
SELECT coalesce(sum(c.seq), 0)::bigint, (SELECT sum(seq)::bigint FROM daybook.heads)
  FROM projections.checkpoints c WHERE c.projection = %(projection)s AND c.version = %(version)s;

-- name: lock_swapped
-- From here on nobody begins a checkpoint of either version.
SELECT FROM projections.versions
 WHERE projection = %(projection)s AND version IN (%(live)s, %(next)s) ORDER BY version FOR UPDATE;

-- name: begin_missing
INSERT INTO projections.checkpoints (ledger_id, projection, version, seq)
SELECT h.ledger_id, %(projection)s, %(version)s, 0 FROM daybook.heads h WHERE h.seq > 0 ON CONFLICT DO NOTHING;

-- name: lock_both
-- The checkpoints of two versions, none of which moves before the transaction ends; ledger by ledger.
SELECT c.ledger_id, c.version, c.seq
  FROM projections.checkpoints c
 WHERE c.projection = %(projection)s AND c.version IN (%(live)s, %(next)s)
 ORDER BY c.ledger_id, c.version FOR UPDATE;

-- name: retire_kept
UPDATE projections.versions SET state = 'retired'
 WHERE projection = %(projection)s AND state = 'kept' AND version <> %(next)s;

-- name: swap
UPDATE projections.versions
   SET state = CASE version WHEN %(next)s THEN 'live' ELSE 'kept' END,
       difference = NULL,
       left_at = CASE version WHEN %(next)s THEN NULL ELSE clock_timestamp() END
 WHERE projection = %(projection)s AND version IN (%(live)s, %(next)s);

-- name: set_difference
UPDATE projections.versions SET difference = %(difference)s
 WHERE projection = %(projection)s AND version = %(version)s;

-- name: droppable
-- A reader that looked up a version while it was live has long ended by now.
SELECT projection, version FROM projections.versions
 WHERE state = 'retired' AND projection = ANY (%(projections)s)
   AND left_at < clock_timestamp() - interval '60 seconds';

-- name: drop_partition
DROP TABLE {partition};

-- name: delete_checkpoints
DELETE FROM projections.checkpoints WHERE projection = %(projection)s AND version = %(version)s;

-- name: delete_version
DELETE FROM projections.versions WHERE projection = %(projection)s AND version = %(version)s;

-- name: columns
-- Of a table, in order: each column and whether it belongs to the primary key; not version and ledger_id.
SELECT attname, attnum = ANY (indkey)
  FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indisprimary
 WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
   AND attname NOT IN ('version', 'ledger_id')
 ORDER BY attnum;

-- name: first_difference
-- The first row, by primary key, that one table has and the other has not, or has otherwise; as text.
SELECT one.version IS NOT NULL, other.version IS NOT NULL, {texts}
  FROM (SELECT * FROM {one} WHERE ledger_id = %(ledger_id)s) one
  FULL JOIN (SELECT * FROM {other} WHERE ledger_id = %(ledger_id)s) other USING ({key})
 WHERE one.version IS NULL OR other.version IS NULL OR ROW({values_one}) IS DISTINCT FROM ROW({values_other})
 ORDER BY {key} LIMIT 1;

-- name: bodies
SELECT body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s ORDER BY ledger_id, seq;

-- name: temporary_stored
CREATE TEMPORARY TABLE {stored} AS SELECT * FROM {partition} WHERE ledger_id = %(ledger_id)s;

-- name: temporary_recomputed
CREATE TEMPORARY TABLE {recomputed} (LIKE projections.{table});

-- name: copy_recomputed
COPY {table} ({columns}) FROM STDIN;

-- name: count
SELECT count(*) FROM {table};

-- name: drop_temporary
DROP TABLE {stored}, {recomputed};

-- name: status
-- A row for each version, over all ledgers. Lag in seconds is the age of the oldest event that a ledger lacks.
-- Work to do in seconds: events lacking by the rate at which the last ones were applied, as if by one worker.
SELECT v.projection, v.version, v.state, v.code_version, v.difference, count(h.ledger_id),
       coalesce(sum(h.seq), 0)::bigint, coalesce(sum(c.seq), 0)::bigint,
       coalesce(sum(greatest(h.seq - coalesce(c.seq, 0), 0)), 0)::bigint,
       coalesce(max(extract(epoch FROM clock_timestamp() - e.recorded_at)), 0)::float8,
       sum((h.seq - coalesce(c.seq, 0)) / nullif(c.rate, 0)) FILTER (WHERE h.seq > coalesce(c.seq, 0))::float8,
       (sum(c.rate * c.seq) / nullif(sum(c.seq) FILTER (WHERE c.rate IS NOT NULL), 0))::float8,
       count(*) FILTER (WHERE c.state = 'stopped')
  FROM projections.versions v
  LEFT JOIN daybook.heads h ON h.seq > 0
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = h.ledger_id AND c.projection = v.projection AND c.version = v.version
  LEFT JOIN LATERAL (
    SELECT recorded_at FROM daybook.events e
     WHERE h.seq > coalesce(c.seq, 0) AND e.ledger_id = h.ledger_id AND e.seq = coalesce(c.seq, 0) + 1) e ON true
 WHERE v.projection = ANY (%(projections)s)
 GROUP BY v.projection, v.version ORDER BY v.projection, v.version;

-- name: stopped_live
-- Live versions that have stopped somewhere, and in how many ledgers.
SELECT projection, count(*) FROM projections.checkpoints c JOIN projections.versions v USING (projection, version)
 WHERE c.state = 'stopped' AND v.state = 'live' AND projection = ANY (%(projections)s)
 GROUP BY projection ORDER BY projection;

-- name: ledger_status
-- The live version of one projection, ledger by ledger; those beyond a name, or only those stopped.
SELECT daybook.whole_name(l.tenant, l.name), v.version, h.seq, coalesce(c.seq, 0), coalesce(c.state, 'running'),
       coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT recorded_at FROM daybook.events e
            WHERE h.seq > coalesce(c.seq, 0) AND e.ledger_id = h.ledger_id AND e.seq = coalesce(c.seq, 0) + 1)),
           0)::float8,
       c.rate::float8, c.error_seq, c.error, c.moved_at
  FROM projections.versions v
 CROSS JOIN daybook.heads h
  JOIN daybook.ledgers l ON l.ledger_id = h.ledger_id
  LEFT JOIN projections.checkpoints c
    ON c.ledger_id = h.ledger_id AND c.projection = v.projection AND c.version = v.version
 WHERE v.projection = %(projection)s AND v.state = 'live' AND h.seq > 0 AND daybook.whole_name(l.tenant, l.name) > %(after)s
   AND (NOT %(stopped)s OR c.state = 'stopped')
 ORDER BY daybook.whole_name(l.tenant, l.name) LIMIT %(limit)s;
