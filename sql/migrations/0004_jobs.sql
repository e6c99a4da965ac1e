-- Long work asked for over the API: rebuilds, verifications, exports.

CREATE TABLE projections.jobs (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job         uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    kind        text NOT NULL,
    state       text NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    cancelling  boolean NOT NULL DEFAULT false,
    attempts    smallint NOT NULL DEFAULT 0,
    progress    bigint NOT NULL DEFAULT 0,
    total       bigint,
    parameters  jsonb NOT NULL,
    result      jsonb,
    error       text,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at  timestamptz,
    heartbeat   timestamptz,
    ended_at    timestamptz,
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX jobs_waiting ON projections.jobs (number) WHERE ended_at IS NULL;
ALTER TABLE projections.jobs OWNER TO daybook_projector;
COMMENT ON TABLE projections.jobs IS
    'Long work asked for over the API. Who runs a job holds the advisory lock of its number, which dies with the process.';
COMMENT ON COLUMN projections.jobs.attempts IS 'How many processes have begun it; those before the last one died.';
COMMENT ON COLUMN projections.jobs.heartbeat IS 'When it was last known to be going on.';
