-- Jobs, as daybook_projector. The lock of a job is an advisory one of the session that runs it.

-- name: ask
INSERT INTO projections.jobs (kind, parameters) VALUES (%(kind)s, %(parameters)s) RETURNING job::text;

-- name: job
SELECT job::text, kind, state, cancelling, attempts, progress, total, parameters, result, error,
       made_at, started_at, heartbeat, ended_at
  FROM projections.jobs WHERE job = %(job)s;

-- name: waiting
-- Jobs that have not ended, those that somebody runs among them: only their lock tells.
SELECT number FROM projections.jobs WHERE ended_at IS NULL AND kind = ANY (%(kinds)s) ORDER BY number;

-- name: lock
-- The first number is arbitrary: "jobs" in ASCII.
SELECT pg_try_advisory_lock(1785684595, %(number)s::integer);

-- name: unlock
SELECT pg_advisory_unlock(1785684595, %(number)s::integer);

-- name: begin
-- No row: it has ended since it was seen waiting.
UPDATE projections.jobs
   SET state = 'running', attempts = attempts + 1, heartbeat = clock_timestamp(),
       started_at = coalesce(started_at, clock_timestamp())
 WHERE number = %(number)s AND ended_at IS NULL
RETURNING job::text, kind, parameters, attempts, cancelling;

-- name: leave
-- For the next process; that this one ends is no fault of the job.
UPDATE projections.jobs SET attempts = attempts - 1 WHERE number = %(number)s;

-- name: report
UPDATE projections.jobs SET progress = %(progress)s, total = %(total)s, heartbeat = clock_timestamp()
 WHERE number = %(number)s RETURNING cancelling;

-- name: end
UPDATE projections.jobs
   SET state = %(state)s, result = %(result)s, error = %(error)s, ended_at = clock_timestamp(),
       heartbeat = clock_timestamp()
 WHERE number = %(number)s;

-- name: cancel
-- One that nobody has begun ends at once; one under way when it next reports.
UPDATE projections.jobs
   SET cancelling = true,
       state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
       ended_at = CASE WHEN state = 'queued' THEN clock_timestamp() END
 WHERE job = %(job)s AND ended_at IS NULL;
