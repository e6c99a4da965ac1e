-- Tenants and API keys: the control plane, in a schema of its own that neither writer nor reader can see.

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_access NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    IF NOT pg_has_role(current_user, 'daybook_access', 'MEMBER') THEN
        EXECUTE format('GRANT daybook_access TO %I', current_user);
    END IF;
END $$;

CREATE SCHEMA access AUTHORIZATION daybook_access;

CREATE TABLE access.tenants (
    tenant      text PRIMARY KEY CHECK (tenant ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE access.tenants IS 'Who owns ledgers and keys. The tenant `default` is there from the beginning.';
INSERT INTO access.tenants (tenant) VALUES ('default');

CREATE TABLE access.api_keys (
    key_id        uuid PRIMARY KEY,
    tenant        text NOT NULL REFERENCES access.tenants,
    prefix        text NOT NULL UNIQUE CHECK (length(prefix) = 8),
    hash          bytea NOT NULL CHECK (length(hash) = 32),
    name          text NOT NULL,
    scopes        text[] NOT NULL CHECK (cardinality(scopes) > 0),
    ledgers       text[],
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text NOT NULL,
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
COMMENT ON TABLE access.api_keys IS 'API keys by their visible prefix; of the secret there is only the SHA-256.';
COMMENT ON COLUMN access.api_keys.scopes IS 'Scopes and roles by name; a role stands for what it means today.';
COMMENT ON COLUMN access.api_keys.ledgers IS 'The ledgers that it is for; null: all of its tenant''s.';

ALTER TABLE access.tenants OWNER TO daybook_access;
ALTER TABLE access.api_keys OWNER TO daybook_access;

-- ---------------------------------------------------------------- tenants and their ledgers

ALTER TABLE daybook.ledgers ADD COLUMN tenant text NOT NULL DEFAULT 'default' REFERENCES access.tenants;
ALTER TABLE daybook.ledgers ALTER COLUMN tenant DROP DEFAULT;
ALTER TABLE daybook.ledgers DROP CONSTRAINT ledgers_name_key;
ALTER TABLE daybook.ledgers ADD CONSTRAINT ledgers_tenant_name_key UNIQUE (tenant, name);
COMMENT ON TABLE daybook.ledgers IS
    'Names of ledgers, each tenant''s own. public_id stands in every event body; opened_at is null until the first event is recorded.';

CREATE FUNCTION daybook.whole_name(tenant text, name text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE tenant WHEN 'default' THEN name ELSE tenant || '/' || name END $$;
COMMENT ON FUNCTION daybook.whole_name(text, text) IS 'A ledger''s name among those of all tenants, as the console and start-up use it.';
ALTER FUNCTION daybook.whole_name(text, text) OWNER TO daybook_owner;

CREATE FUNCTION daybook.current_tenant() RETURNS text
    LANGUAGE sql STABLE
    AS $$ SELECT current_setting('daybook.tenant', true) $$;
COMMENT ON FUNCTION daybook.current_tenant() IS 'Whom this transaction works for; of another tenant it sees and writes nothing.';
ALTER FUNCTION daybook.current_tenant() OWNER TO daybook_owner;

CREATE OR REPLACE FUNCTION daybook.current_ledger() RETURNS integer
    LANGUAGE sql STABLE
    AS $$
SELECT ledger_id FROM daybook.ledgers
 WHERE ledger_id = nullif(current_setting('daybook.ledger_id', true), '')::integer AND tenant = daybook.current_tenant()
$$;
COMMENT ON FUNCTION daybook.current_ledger() IS
    'The ledger that this transaction is about, if it is its tenant''s; row-level security and the write guards compare with it.';

CREATE OR REPLACE FUNCTION daybook.check_own_ledger() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE ledger_id IS DISTINCT FROM (SELECT daybook.current_ledger())) THEN
        RAISE EXCEPTION 'rows of another ledger than this transaction''s'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'own_ledger';
    END IF;
    RETURN NULL;
END $$;

ALTER TABLE daybook.ledgers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON daybook.ledgers FOR SELECT TO daybook_reader USING (tenant = daybook.current_tenant());

-- A subquery is evaluated once for a query, a function perhaps for every row.
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN SELECT schemaname, tablename FROM pg_policies WHERE policyname = 'own_ledger' LOOP
        EXECUTE format('ALTER POLICY own_ledger ON %I.%I USING (ledger_id = (SELECT daybook.current_ledger()))',
                       policy.schemaname, policy.tablename);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION projections.take_in(read_model regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s OWNER TO daybook_projector', read_model);
    EXECUTE format('GRANT SELECT ON %s TO daybook_reader', read_model);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', read_model);
    EXECUTE format('CREATE POLICY own_ledger ON %s FOR SELECT TO daybook_reader
                    USING (ledger_id = (SELECT daybook.current_ledger()))', read_model);
END $$;
