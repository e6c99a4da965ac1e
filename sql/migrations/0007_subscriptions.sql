-- Subscriptions: a ledger's events sent to others as webhooks.

CREATE TABLE projections.subscriptions (
    checkpoint       bigint NOT NULL CHECK (checkpoint >= 0),
    made_at          timestamptz NOT NULL,
    failing_since    timestamptz,
    former_until     timestamptz,
    subscription     uuid NOT NULL DEFAULT gen_random_uuid(),
    ledger_id        integer NOT NULL,
    state            text NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    disabled_reason  text,
    scheme           text NOT NULL CHECK (scheme IN ('standard', 'sha256', 'trueidentity')),
    url              text NOT NULL,
    description      text NOT NULL,
    types            text[],
    secret           bytea NOT NULL,
    former_secret    bytea,
    PRIMARY KEY (ledger_id, subscription),
    CHECK ((state = 'disabled') = (disabled_reason IS NOT NULL)),
    CHECK ((former_secret IS NULL) = (former_until IS NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE projections.subscriptions IS
    'Who is sent a ledger''s events, and how far: every event up to the checkpoint was delivered, not wanted, or is a message.';
COMMENT ON COLUMN projections.subscriptions.secret IS 'Sealed with a key outside the database; so is the former one of a rotation.';
COMMENT ON COLUMN projections.subscriptions.failing_since IS 'The first failure after the last success.';

CREATE TABLE projections.messages (
    seq           bigint NOT NULL,
    next_at       timestamptz NOT NULL,
    subscription  uuid NOT NULL,
    ledger_id     integer NOT NULL,
    attempts      smallint NOT NULL CHECK (attempts >= 0),
    dead          boolean NOT NULL,
    PRIMARY KEY (ledger_id, subscription, seq)
) WITH (fillfactor = 70);
CREATE INDEX messages_due ON projections.messages (ledger_id, subscription, next_at, seq) WHERE NOT dead;
COMMENT ON TABLE projections.messages IS
    'Events on their way to a subscription. Who sends one holds its row''s lock, which dies with the process; delivered: gone.';
COMMENT ON COLUMN projections.messages.dead IS 'Every attempt of the schedule has failed; it waits for somebody to replay it.';

CREATE TABLE projections.attempts (
    number        bigint GENERATED ALWAYS AS IDENTITY,
    seq           bigint,
    made_at       timestamptz NOT NULL,
    subscription  uuid NOT NULL,
    ledger_id     integer NOT NULL,
    latency_ms    integer NOT NULL,
    attempt       smallint NOT NULL,
    status        smallint,
    error         text,
    PRIMARY KEY (ledger_id, subscription, number)
);
CREATE INDEX attempts_age ON projections.attempts (made_at);
COMMENT ON TABLE projections.attempts IS 'The delivery log: every attempt of the last days, with what the endpoint said. seq null: a ping.';

DO $$
DECLARE
    name regclass;
BEGIN
    -- No grant to the reader: people see them through the API, which asks as the projector.
    FOREACH name IN ARRAY ARRAY['projections.subscriptions', 'projections.messages', 'projections.attempts']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO daybook_projector', name);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_ledger ON %s FOR SELECT TO daybook_reader
                        USING (ledger_id = daybook.current_ledger())', name);
    END LOOP;
END $$;
