-- The inbox: webhooks as they came in, and the endpoints that they came to. A schema of its own, apart from the
-- ledgers, for a role of its own, which row-level security holds to one tenant at a time.

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_inbox NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    IF NOT pg_has_role(current_user, 'daybook_inbox', 'MEMBER') THEN
        EXECUTE format('GRANT daybook_inbox TO %I', current_user);
    END IF;
END $$;

CREATE SCHEMA inbox;
GRANT USAGE ON SCHEMA inbox TO daybook_inbox;

CREATE TABLE inbox.endpoints (
    endpoint       uuid PRIMARY KEY,
    tenant         text NOT NULL REFERENCES access.tenants,
    ledger         text NOT NULL,
    provider       text NOT NULL,
    state          text NOT NULL CHECK (state IN ('active', 'deleted')),
    is_default     boolean NOT NULL,
    description    text NOT NULL,
    settings       text NOT NULL,
    secret         bytea,
    former_secret  bytea,
    former_until   timestamptz,
    made_at        timestamptz NOT NULL,
    CHECK (tenant = 'default' OR NOT is_default),
    CHECK ((state = 'deleted') = (secret IS NULL)),
    CHECK ((former_secret IS NULL) = (former_until IS NULL))
);
CREATE UNIQUE INDEX endpoints_default ON inbox.endpoints (provider) WHERE is_default AND state = 'active';
CREATE INDEX endpoints_of_ledger ON inbox.endpoints (tenant, ledger);
COMMENT ON TABLE inbox.endpoints IS 'Where a provider''s webhooks for a ledger come in, and with which secrets they are verified.';
COMMENT ON COLUMN inbox.endpoints.settings IS 'The provider''s own, as JSON.';
COMMENT ON COLUMN inbox.endpoints.is_default IS 'It is what /webhooks/{provider} without an endpoint means; only of the tenant `default`.';
COMMENT ON COLUMN inbox.endpoints.secret IS 'Sealed with a key outside the database; so is the former one of a rotation. Deleted: gone.';

CREATE TABLE inbox.webhooks (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at  timestamptz NOT NULL,
    next_at      timestamptz NOT NULL,
    settled_at   timestamptz,
    endpoint     uuid NOT NULL REFERENCES inbox.endpoints,
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    refusals     integer NOT NULL DEFAULT 0 CHECK (refusals >= 0),
    tenant       text NOT NULL,
    ledger       text NOT NULL,
    provider     text NOT NULL,
    event_id     text NOT NULL,
    type         text NOT NULL,
    subject      text NOT NULL,
    state        text NOT NULL CHECK (state IN ('received', 'posted', 'ignored', 'parked', 'failed')),
    reason       text,
    detail       text,
    seqs         bigint[],
    headers      text NOT NULL,
    body         bytea NOT NULL,
    UNIQUE (endpoint, event_id),
    CHECK ((state = 'received') = (settled_at IS NULL)),
    CHECK ((state = 'posted') = (seqs IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX webhooks_waiting ON inbox.webhooks (tenant, next_at) WHERE state = 'received';
CREATE INDEX webhooks_of_ledger ON inbox.webhooks (tenant, ledger, state, number);
COMMENT ON TABLE inbox.webhooks IS
    'Verified webhooks, the bytes as they came. Who works on one holds its row''s lock, which dies with the process.';
COMMENT ON COLUMN inbox.webhooks.event_id IS 'The provider''s own, or made of the body: the same however often it is sent.';
COMMENT ON COLUMN inbox.webhooks.refusals IS 'How many idempotency keys its posting has used up: a refused key never changes its outcome.';
COMMENT ON COLUMN inbox.webhooks.headers IS 'Pairs in their order, without credentials, as JSON.';

GRANT SELECT, INSERT ON inbox.endpoints, inbox.webhooks TO daybook_inbox;
GRANT UPDATE (state, is_default, description, settings, secret, former_secret, former_until) ON inbox.endpoints TO daybook_inbox;
GRANT UPDATE (state, reason, detail, seqs, attempts, refusals, next_at, settled_at) ON inbox.webhooks TO daybook_inbox;

CREATE FUNCTION inbox.tenant_of(wanted uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT tenant FROM inbox.endpoints WHERE endpoint = wanted $$;
COMMENT ON FUNCTION inbox.tenant_of(uuid) IS 'Whom an endpoint belongs to: all that is said across tenants about one.';

CREATE FUNCTION inbox.waiting(by timestamptz) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
SELECT tenant FROM (SELECT DISTINCT tenant FROM inbox.endpoints) t
 WHERE EXISTS (SELECT FROM inbox.webhooks w WHERE w.tenant = t.tenant AND w.state = 'received' AND w.next_at <= by)
$$;
COMMENT ON FUNCTION inbox.waiting(timestamptz) IS 'The tenants that have webhooks to be worked on by then: all that is said across tenants about them.';

REVOKE EXECUTE ON FUNCTION inbox.tenant_of(uuid), inbox.waiting(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inbox.tenant_of(uuid), inbox.waiting(timestamptz) TO daybook_inbox;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['endpoints', 'webhooks'] LOOP
        EXECUTE format('ALTER TABLE inbox.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON inbox.%I TO daybook_inbox
                        USING (tenant = (SELECT current_setting(''daybook.tenant'', true)))', name);
        EXECUTE format('ALTER TABLE inbox.%I OWNER TO daybook_owner', name);
    END LOOP;
END $$;
ALTER SCHEMA inbox OWNER TO daybook_owner;
ALTER FUNCTION inbox.tenant_of(uuid) OWNER TO daybook_owner;
ALTER FUNCTION inbox.waiting(timestamptz) OWNER TO daybook_owner;
