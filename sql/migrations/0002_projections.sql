-- The schema of projections: versions, checkpoints, and the role that keeps them.

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_projector NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    IF NOT pg_has_role(current_user, 'daybook_projector', 'MEMBER') THEN
        EXECUTE format('GRANT daybook_projector TO %I', current_user);
    END IF;
    -- It reads every ledger, and no ledger's rows of the book can be written by it.
    IF NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'daybook_projector') THEN
        ALTER ROLE daybook_projector BYPASSRLS;
    END IF;
END $$;

GRANT USAGE ON SCHEMA daybook TO daybook_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA daybook TO daybook_projector;

CREATE SCHEMA projections AUTHORIZATION daybook_projector;
GRANT USAGE ON SCHEMA projections TO daybook_reader;

CREATE TABLE projections.versions (
    projection    text NOT NULL,
    version       integer NOT NULL CHECK (version >= 1),
    code_version  integer NOT NULL,
    state         text NOT NULL CHECK (state IN ('building', 'live', 'kept', 'retired')),
    difference    text,
    made_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_at       timestamptz,
    PRIMARY KEY (projection, version),
    CONSTRAINT one_of_each EXCLUDE USING btree (projection WITH =, state WITH =) WHERE (state <> 'retired')
        DEFERRABLE INITIALLY IMMEDIATE
);
COMMENT ON TABLE projections.versions IS
    'Versions of each projection: readers use the live one; building is its successor, kept its predecessor, retired may go.';
COMMENT ON COLUMN projections.versions.code_version IS 'The code that filled it; another than the program''s: outdated.';
COMMENT ON COLUMN projections.versions.difference IS 'Why a version that was built did not become live.';
COMMENT ON COLUMN projections.versions.left_at IS 'When it ceased to be live; readers may still look at it for a moment.';

CREATE TABLE projections.checkpoints (
    seq         bigint NOT NULL CHECK (seq >= 0),
    error_seq   bigint,
    moved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ledger_id   integer NOT NULL,
    version     integer NOT NULL,
    rate        real,
    projection  text NOT NULL,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped')),
    error       text,
    PRIMARY KEY (ledger_id, projection, version),
    CHECK ((state = 'stopped') = (error_seq IS NOT NULL)),
    CHECK ((state = 'stopped') = (error IS NOT NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE projections.checkpoints IS
    'The last seq of a ledger that a version has: moved in the transaction that wrote the rows of it.';
COMMENT ON COLUMN projections.checkpoints.rate IS 'Events a second, while the last range was applied.';
COMMENT ON COLUMN projections.checkpoints.error_seq IS 'The event that could not be applied, which is the next one.';

CREATE FUNCTION projections.take_in(read_model regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s OWNER TO daybook_projector', read_model);
    EXECUTE format('GRANT SELECT ON %s TO daybook_reader', read_model);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', read_model);
    EXECUTE format('CREATE POLICY own_ledger ON %s FOR SELECT TO daybook_reader
                    USING (ledger_id = daybook.current_ledger())', read_model);
END $$;
COMMENT ON FUNCTION projections.take_in(regclass) IS
    'Every table of a read model is made with this: the projector owns it, a reader sees the rows of one ledger.';

SELECT projections.take_in('projections.checkpoints');
ALTER TABLE projections.versions OWNER TO daybook_projector;
GRANT SELECT ON projections.versions TO daybook_reader;
ALTER FUNCTION projections.take_in(regclass) OWNER TO daybook_projector;
