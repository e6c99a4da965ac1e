-- Schedules of reconciliations, as daybook_projector, which row-level security does not hold back: so every query names
-- its ledger, but for the look at what is due.

-- name: ledger
SELECT ledger_id, time_zone FROM daybook.ledgers
 WHERE tenant = %(tenant)s AND name = %(name)s AND opened_at IS NOT NULL;

-- name: put
-- A schedule that is changed goes on from where it has come.
INSERT INTO projections.reconciliation_schedules (ledger_id, side, daily_at, every_minutes, from_at, next_at)
VALUES (%(ledger_id)s, %(side)s, %(daily_at)s, %(every_minutes)s, %(from_at)s, %(next_at)s)
    ON CONFLICT (ledger_id, side) DO UPDATE
   SET daily_at = excluded.daily_at, every_minutes = excluded.every_minutes, next_at = excluded.next_at;

-- name: list
-- Of all sides or of one.
SELECT side, daily_at, every_minutes, from_at, next_at, job::text FROM projections.reconciliation_schedules
 WHERE ledger_id = %(ledger_id)s AND (%(side)s::text IS NULL OR side = %(side)s)
 ORDER BY side;

-- name: delete
DELETE FROM projections.reconciliation_schedules WHERE ledger_id = %(ledger_id)s AND side = %(side)s;

-- name: due
-- Locked until they are moved on. The parameters are those of a job that failed, which is asked for again.
SELECT s.ledger_id, l.tenant, l.name, l.time_zone, s.side, s.daily_at, s.every_minutes, s.from_at, s.next_at,
       CASE WHEN j.state = 'failed' THEN j.parameters END
  FROM projections.reconciliation_schedules s
  JOIN daybook.ledgers l USING (ledger_id)
  LEFT JOIN projections.jobs j ON j.job = s.job
 WHERE s.side = ANY (%(sides)s)
   AND CASE j.state WHEN 'failed' THEN j.ended_at <= %(failed_before)s
                    WHEN 'queued' THEN false
                    WHEN 'running' THEN false
                    ELSE s.next_at <= %(now)s END
   FOR UPDATE OF s SKIP LOCKED;

-- name: ask
WITH asked AS (
    INSERT INTO projections.jobs (kind, parameters) VALUES (%(kind)s, %(parameters)s) RETURNING job
)
UPDATE projections.reconciliation_schedules SET job = asked.job
  FROM asked WHERE ledger_id = %(ledger_id)s AND side = %(side)s;

-- name: move
UPDATE projections.reconciliation_schedules SET from_at = %(from_at)s, next_at = %(next_at)s
 WHERE ledger_id = %(ledger_id)s AND side = %(side)s;

-- name: waiting
SELECT (SELECT count(*) FROM projections.jobs WHERE ended_at IS NULL AND kind = ANY (%(kinds)s))
     + (SELECT count(*) FROM projections.reconciliation_schedules s LEFT JOIN projections.jobs j ON j.job = s.job
         WHERE s.side = ANY (%(sides)s) AND s.next_at <= %(now)s AND j.state IS DISTINCT FROM 'failed');

-- name: failed
SELECT l.tenant, l.name, s.side, j.error
  FROM projections.reconciliation_schedules s
  JOIN projections.jobs j ON j.job = s.job
  JOIN daybook.ledgers l ON l.ledger_id = s.ledger_id
 WHERE s.side = ANY (%(sides)s) AND j.state = 'failed'
 ORDER BY l.tenant, l.name, s.side;
