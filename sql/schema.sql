-- Daybook's tables, in the order in which a reader meets them.
--
-- A ledger is a row of `ledgers`. Its `heads` row is the lock that makes one writer at a time and the
-- number of the last event. `events` is the book of original entry; `postings` are the legs of its entries,
-- each with the account's four counters after it. Both are append only. `balances` and `streams` are what
-- the next decision needs, kept in the same transaction; they can be rebuilt from the events.
--
-- The database defends itself: append-only tables refuse UPDATE, DELETE and TRUNCATE; inserted events must
-- be exactly the range that the head, written first in the same transaction, announces; the legs must belong
-- to that range and sum to zero; a leaf must be the hash of its body; a balance must be within its limits.
--
-- Every key starts with ledger_id, so that all rows of one ledger can live on one node.
-- Money is bigint minor units. Debits are positive, credits negative, where an amount is signed.

-- ---------------------------------------------------------------- control plane

-- Tenants and keys stand in a schema of their own that neither writer nor reader can see.
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
    last_used_at  timestamptz,
    provider      text
);
COMMENT ON TABLE access.api_keys IS 'API keys by their visible prefix; of the secret there is only the SHA-256.';
COMMENT ON COLUMN access.api_keys.scopes IS 'Scopes and roles by name; a role stands for what it means today.';
COMMENT ON COLUMN access.api_keys.ledgers IS 'The ledgers that it is for; null: all of its tenant''s.';
COMMENT ON COLUMN access.api_keys.provider IS 'The credit provider whose key it is, and of whose leads alone it knows; null: nobody''s.';

CREATE TABLE access.approvals (
    approval_id  uuid PRIMARY KEY,
    tenant       text NOT NULL REFERENCES access.tenants,
    ledger       text NOT NULL,
    key          text,
    request      json NOT NULL,
    evidence     json NOT NULL,
    asked_by     text NOT NULL,
    request_id   text NOT NULL,
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    approved     boolean,
    decided_by   text CHECK (decided_by <> asked_by),
    decided_at   timestamptz,
    reason       text,
    seq          bigint,
    events       bigint,
    rejection    json,
    UNIQUE (tenant, ledger, key),
    CHECK ((approved IS NULL) = (decided_by IS NULL) AND (approved IS NULL) = (decided_at IS NULL)),
    CHECK ((seq IS NULL) = (events IS NULL) AND (seq IS NULL OR rejection IS NULL)),
    CHECK (approved OR (seq IS NULL AND rejection IS NULL))
);
CREATE INDEX approvals_newest ON access.approvals (tenant, ledger, asked_at DESC, approval_id);
COMMENT ON TABLE access.approvals IS
    'Commands that wait for a second person. Those approved are carried out under the key `approval:` and their id.';
COMMENT ON COLUMN access.approvals.key IS 'The idempotency key of the request, under which the ledger remembers that it waits.';
COMMENT ON COLUMN access.approvals.request IS 'The commands as they were asked: operation, subject, body; atomic or not.';
COMMENT ON COLUMN access.approvals.evidence IS 'Why it waits: the asset, the amount, and above which amount it does.';
COMMENT ON COLUMN access.approvals.decided_by IS 'Who approved or rejected it: never who asked.';
COMMENT ON COLUMN access.approvals.seq IS 'Of an approved one that took place: its first event; `rejection` of one that the ledger refused.';

ALTER TABLE access.tenants OWNER TO daybook_access;
ALTER TABLE access.api_keys OWNER TO daybook_access;
ALTER TABLE access.approvals OWNER TO daybook_access;
-- For the owner, too: nobody else has to do with it.
ALTER TABLE access.approvals ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.approvals FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON access.approvals TO daybook_access
    USING (tenant = (SELECT current_setting('daybook.tenant', true)));

CREATE TABLE daybook.ledgers (
    ledger_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    public_id   uuid NOT NULL UNIQUE,
    time_zone   text,
    opened_at   timestamptz,
    tenant      text NOT NULL REFERENCES access.tenants,
    UNIQUE (tenant, name)
);
COMMENT ON TABLE daybook.ledgers IS
    'Names of ledgers, each tenant''s own. public_id stands in every event body; opened_at is null until the first event is recorded.';

CREATE FUNCTION daybook.whole_name(tenant text, name text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE tenant WHEN 'default' THEN name ELSE tenant || '/' || name END $$;
COMMENT ON FUNCTION daybook.whole_name(text, text) IS 'A ledger''s name among those of all tenants, as the console and start-up use it.';

CREATE FUNCTION daybook.current_tenant() RETURNS text
    LANGUAGE sql STABLE
    AS $$ SELECT current_setting('daybook.tenant', true) $$;
COMMENT ON FUNCTION daybook.current_tenant() IS 'Whom this transaction works for; of another tenant it sees and writes nothing.';

CREATE FUNCTION daybook.current_ledger() RETURNS integer
    LANGUAGE sql STABLE
    AS $$
SELECT ledger_id FROM daybook.ledgers
 WHERE ledger_id = nullif(current_setting('daybook.ledger_id', true), '')::integer AND tenant = daybook.current_tenant()
$$;
COMMENT ON FUNCTION daybook.current_ledger() IS
    'The ledger that this transaction is about, if it is its tenant''s; row-level security and the write guards compare with it.';

-- ---------------------------------------------------------------- the book

CREATE TABLE daybook.heads (
    ledger_id     integer PRIMARY KEY REFERENCES daybook.ledgers,
    incarnation   integer NOT NULL DEFAULT 1,
    seq           bigint NOT NULL CHECK (seq >= 0),
    previous_seq  bigint NOT NULL CHECK (previous_seq <= seq),
    recorded_at   timestamptz NOT NULL,
    root          bytea NOT NULL CHECK (length(root) = 32),
    frontier      bytea NOT NULL CHECK (length(frontier) % 32 = 0),
    accounts      integer NOT NULL,
    chart_seq     bigint NOT NULL,
    next_expiry   timestamptz
) WITH (fillfactor = 20);
COMMENT ON TABLE daybook.heads IS 'One row a ledger: its lock, its last seq, its Merkle tree. Written first in every batch.';
COMMENT ON COLUMN daybook.heads.frontier IS 'Roots of the perfect subtrees, largest first, 32 bytes each (RFC 6962).';
COMMENT ON COLUMN daybook.heads.next_expiry IS 'Nothing that expires does so before this moment; null: nothing expires.';

CREATE INDEX heads_next_expiry ON daybook.heads (next_expiry) WHERE next_expiry IS NOT NULL;

CREATE TABLE daybook.events (
    seq           bigint NOT NULL,
    effective_at  timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    ledger_id     integer NOT NULL,
    legs          smallint NOT NULL CHECK (legs >= 0),
    type          text NOT NULL,
    leaf          bytea NOT NULL CONSTRAINT leaf_of_body CHECK (leaf = sha256('\x00'::bytea || body)),
    body          bytea NOT NULL CONSTRAINT body_length CHECK (length(body) <= 65535),
    PRIMARY KEY (ledger_id, seq)
);
COMMENT ON TABLE daybook.events IS 'The book of original entry. body is canonical JSON; every other column is derived from it.';

CREATE INDEX events_of_control ON daybook.events (ledger_id, seq)
    WHERE type IN ('period_closed', 'period_reopened', 'ledger_restored');
COMMENT ON INDEX daybook.events_of_control IS 'The few events that say which periods were closed, and which life of the ledger this is.';

CREATE TABLE daybook.postings (
    seq             bigint NOT NULL,
    amount          bigint NOT NULL CHECK (amount <> 0),
    effective_at    timestamptz NOT NULL,
    debits_posted   bigint NOT NULL CHECK (debits_posted >= 0),
    credits_posted  bigint NOT NULL CHECK (credits_posted >= 0),
    debits_pending  bigint NOT NULL CHECK (debits_pending >= 0),
    credits_pending bigint NOT NULL CHECK (credits_pending >= 0),
    ledger_id       integer NOT NULL,
    account_id      integer NOT NULL,
    asset_id        integer NOT NULL,
    leg             smallint NOT NULL CHECK (leg >= 0),
    kind            smallint NOT NULL CHECK (kind BETWEEN 0 AND 2),
    PRIMARY KEY (ledger_id, account_id, asset_id, seq, leg)
);
COMMENT ON TABLE daybook.postings IS 'The legs of events, with the four counters of (account, asset) after each leg.';
COMMENT ON COLUMN daybook.postings.kind IS '0 posted, 1 pending (adds to pending), 2 release (takes from the same side''s pending).';

CREATE TABLE daybook.event_streams (
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    stream     text NOT NULL,
    PRIMARY KEY (ledger_id, stream, version)
);
COMMENT ON TABLE daybook.event_streams IS 'Which events belong to which stream, in order. A plain transaction belongs to none.';

CREATE TABLE daybook.endings (
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    stream     text NOT NULL,
    PRIMARY KEY (ledger_id, stream)
);
COMMENT ON TABLE daybook.endings IS 'The event that ended a stream (posted in full, voided, expired, reversed in full): once, by its key.';

CREATE TABLE daybook.idempotency_keys (
    ledger_id    integer NOT NULL,
    events       smallint NOT NULL CHECK (events >= 0),
    seq          bigint NOT NULL,
    fingerprint  bytea NOT NULL CHECK (length(fingerprint) = 32),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    rejections   bytea CHECK ((rejections IS NULL) = (events > 0)),
    PRIMARY KEY (ledger_id, key)
);
COMMENT ON TABLE daybook.idempotency_keys IS
    'The one outcome of a key: events seq .. seq + events - 1, or the rejections as JSON (then seq is the head they were decided at).';

-- ---------------------------------------------------------------- what the next decision needs

CREATE TABLE daybook.assets (
    ledger_id  integer NOT NULL,
    asset_id   integer NOT NULL CHECK (asset_id >= 1),
    asset      text NOT NULL,
    PRIMARY KEY (ledger_id, asset_id),
    UNIQUE (ledger_id, asset)
);
COMMENT ON TABLE daybook.assets IS 'CODE/SCALE of every asset that a chart of the ledger has named, numbered as they came.';

CREATE TABLE daybook.accounts (
    ledger_id   integer NOT NULL,
    account_id  integer NOT NULL CHECK (account_id >= 1),
    opened_seq  bigint NOT NULL,
    closed_seq  bigint,
    address     text NOT NULL CHECK (length(address) BETWEEN 1 AND 255),
    terms       text NOT NULL,
    PRIMARY KEY (ledger_id, account_id),
    UNIQUE (ledger_id, address)
);
COMMENT ON TABLE daybook.accounts IS 'Accounts, numbered in the order of their first posting. Their names stay; they may close once.';
COMMENT ON COLUMN daybook.accounts.terms IS 'JSON: type, contra, memo, assets, limits; copied from the chart when the account opened.';

CREATE TABLE daybook.balances (
    debits_posted   bigint NOT NULL CHECK (debits_posted >= 0),
    credits_posted  bigint NOT NULL CHECK (credits_posted >= 0),
    debits_pending  bigint NOT NULL CHECK (debits_pending >= 0),
    credits_pending bigint NOT NULL CHECK (credits_pending >= 0),
    last_seq        bigint NOT NULL,
    version         bigint NOT NULL,
    min_available   bigint,
    max_balance     bigint,
    ledger_id       integer NOT NULL,
    account_id      integer NOT NULL,
    asset_id        integer NOT NULL,
    debit_normal    boolean NOT NULL,
    PRIMARY KEY (ledger_id, account_id, asset_id),
    CONSTRAINT min_available CHECK (min_available IS NULL OR min_available <=
        CASE WHEN debit_normal THEN debits_posted::numeric - credits_posted - credits_pending
                               ELSE credits_posted::numeric - debits_posted - debits_pending END),
    CONSTRAINT max_balance CHECK (max_balance IS NULL OR max_balance >=
        CASE WHEN debit_normal THEN debits_posted::numeric - credits_posted + debits_pending
                               ELSE credits_posted::numeric - debits_posted + credits_pending END)
) WITH (fillfactor = 50);
COMMENT ON TABLE daybook.balances IS 'The four counters at head of every (account, asset), its limits, and how many events touched it.';

CREATE TABLE daybook.streams (
    ledger_id      integer NOT NULL,
    version        integer NOT NULL CHECK (version >= 1),
    last_seq       bigint NOT NULL,
    state_version  smallint NOT NULL,
    kind           text NOT NULL,
    stream         text NOT NULL,
    state          text NOT NULL,
    due_at         timestamptz,
    PRIMARY KEY (ledger_id, stream)
) WITH (fillfactor = 70);
COMMENT ON TABLE daybook.streams IS 'State at head of every stream, as JSON; state_version tells which code wrote it.';
COMMENT ON COLUMN daybook.streams.due_at IS 'When the stream must be decided by itself: a lot or a voucher of it expires.';

CREATE INDEX streams_due ON daybook.streams (ledger_id, due_at, stream COLLATE "C") WHERE due_at IS NOT NULL;
CREATE INDEX streams_of_kind ON daybook.streams (ledger_id, kind, stream COLLATE "C") WHERE kind <> 'transaction';

CREATE TABLE daybook.holds (
    ledger_id   integer NOT NULL,
    expires_at  timestamptz NOT NULL,
    seq         bigint NOT NULL,
    PRIMARY KEY (ledger_id, expires_at, seq)
);
COMMENT ON TABLE daybook.holds IS 'Open holds that have a time-out, in the order in which they expire.';

CREATE TABLE daybook.closed_periods (
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (starts_at <= ends_at),
    period     text NOT NULL,
    PRIMARY KEY (ledger_id, period)
);
COMMENT ON TABLE daybook.closed_periods IS 'Periods that are closed now: [starts_at, ends_at), and the event that closed each.';

-- ---------------------------------------------------------------- guards

CREATE FUNCTION daybook.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'append_only';
END $$;
COMMENT ON FUNCTION daybook.refuse_change() IS 'The trigger of what is never changed: it raises.';

CREATE FUNCTION daybook.written_head(ledger integer) RETURNS daybook.heads
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    head daybook.heads;
BEGIN
    SELECT * INTO head FROM daybook.heads h
     WHERE h.ledger_id = ledger AND h.xmin = pg_current_xact_id()::xid;
    IF head IS NULL OR ledger IS DISTINCT FROM daybook.current_ledger() THEN
        RAISE EXCEPTION 'the head of ledger % was not written by this transaction', ledger
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'head_first';
    END IF;
    RETURN head;
END $$;
COMMENT ON FUNCTION daybook.written_head(integer) IS 'The head row that this transaction wrote for its own ledger, or an error.';

CREATE FUNCTION daybook.check_head() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.ledger_id IS DISTINCT FROM daybook.current_ledger() THEN
        RAISE EXCEPTION 'ledger % is not this transaction''s ledger', NEW.ledger_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'own_ledger';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.seq <> 0 THEN
            RAISE EXCEPTION 'a head starts at seq 0'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'contiguous';
        END IF;
    ELSIF NEW.ledger_id IS DISTINCT FROM OLD.ledger_id
        OR NEW.incarnation < OLD.incarnation OR (NEW.incarnation > OLD.incarnation AND NEW.seq = OLD.seq)
        OR NEW.seq < OLD.seq
        OR (NEW.seq > OLD.seq AND (NEW.previous_seq <> OLD.seq OR NEW.recorded_at <= OLD.recorded_at))
        OR (NEW.seq = OLD.seq AND (NEW.previous_seq, NEW.recorded_at, NEW.root, NEW.frontier, NEW.accounts, NEW.chart_seq)
            IS DISTINCT FROM (OLD.previous_seq, OLD.recorded_at, OLD.root, OLD.frontier, OLD.accounts, OLD.chart_seq)) THEN
        RAISE EXCEPTION 'the head of ledger % can only move forward', NEW.ledger_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'contiguous';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION daybook.check_head() IS 'A head starts at 0 and only moves forward, in its own transaction''s ledger.';

CREATE FUNCTION daybook.check_head_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    announced bigint;
BEGIN
    IF NEW.seq = 0 OR (TG_OP = 'UPDATE' AND NEW.seq = OLD.seq) THEN
        RETURN NULL;
    END IF;
    SELECT sum(legs) INTO announced FROM daybook.events
     WHERE ledger_id = NEW.ledger_id AND seq > NEW.previous_seq AND seq <= NEW.seq;
    IF announced IS NULL THEN
        RAISE EXCEPTION 'ledger %: the head says seq % but its events are not there', NEW.ledger_id, NEW.seq
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'contiguous';
    END IF;
    IF announced > 0 AND current_setting('daybook.legs_written', true) IS DISTINCT FROM NEW.ledger_id || ':' || NEW.seq THEN
        RAISE EXCEPTION 'ledger %: events % to % lack their postings', NEW.ledger_id, NEW.previous_seq + 1, NEW.seq
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'legs_complete';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.incarnation > OLD.incarnation AND NOT EXISTS (
        SELECT FROM daybook.events
         WHERE ledger_id = NEW.ledger_id AND seq > NEW.previous_seq AND seq <= NEW.seq
           AND CASE WHEN type = 'ledger_restored'
               THEN convert_from(body, 'UTF8')::json -> 'data' ->> 'incarnation' = NEW.incarnation::text END) THEN
        RAISE EXCEPTION 'ledger %: no event starts incarnation %', NEW.ledger_id, NEW.incarnation
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'incarnation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION daybook.check_head_kept() IS 'At commit: what the head announced is there.';

CREATE FUNCTION daybook.check_events() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    head daybook.heads;
    found record;
BEGIN
    SELECT count(*) AS n, min(seq) AS first, max(seq) AS last,
           min(ledger_id) AS ledger, max(ledger_id) AS other_ledger,
           min(recorded_at) AS earliest, max(recorded_at) AS latest
      INTO found FROM added;
    IF found.n = 0 THEN
        RETURN NULL;
    END IF;
    head := daybook.written_head(found.ledger);
    IF found.other_ledger <> found.ledger OR found.n <> head.seq - head.previous_seq
        OR found.first <> head.previous_seq + 1 OR found.last <> head.seq
        OR found.earliest <> head.recorded_at OR found.latest <> head.recorded_at THEN
        RAISE EXCEPTION 'ledger %: % events % to % are not the head''s % to %', found.ledger, found.n,
                found.first, found.last, head.previous_seq + 1, head.seq
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'contiguous';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION daybook.check_events() IS 'Events of a batch come in one statement and are exactly those that the head announced.';

CREATE FUNCTION daybook.check_postings() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    head daybook.heads;
    found record;
    announced bigint;
    mark text;
BEGIN
    SELECT count(*) AS n, min(ledger_id) AS ledger, max(ledger_id) AS other_ledger,
           min(seq) AS first, max(seq) AS last
      INTO found FROM added;
    IF found.n = 0 THEN
        RETURN NULL;
    END IF;
    head := daybook.written_head(found.ledger);
    mark := found.ledger || ':' || head.seq;
    IF found.other_ledger <> found.ledger OR found.first <= head.previous_seq OR found.last > head.seq
        OR current_setting('daybook.legs_written', true) = mark THEN
        RAISE EXCEPTION 'ledger %: legs of seq % to % do not belong to events % to % of this transaction', found.ledger,
                found.first, found.last, head.previous_seq + 1, head.seq
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'legs_in_range';
    END IF;
    IF EXISTS (SELECT FROM added GROUP BY seq, asset_id, kind HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'ledger %: legs do not sum to zero', found.ledger
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'balanced';
    END IF;
    IF EXISTS (
        SELECT FROM (SELECT seq, count(*) AS n, min(leg) AS first_leg, max(leg) AS last_leg FROM added GROUP BY seq) a
          FULL JOIN (SELECT seq, legs FROM daybook.events
                      WHERE ledger_id = found.ledger AND seq > head.previous_seq AND seq <= head.seq AND legs > 0) e
             ON e.seq = a.seq
         WHERE e.legs IS DISTINCT FROM a.n OR a.first_leg <> 0 OR a.last_leg <> e.legs - 1) THEN
        RAISE EXCEPTION 'ledger %: an event''s legs are not as many as it says', found.ledger
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'legs_complete';
    END IF;
    PERFORM set_config('daybook.legs_written', mark, true);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION daybook.check_postings() IS 'All legs of a batch come in one statement, after its events.';

CREATE FUNCTION daybook.check_own_ledger() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE ledger_id IS DISTINCT FROM (SELECT daybook.current_ledger())) THEN
        RAISE EXCEPTION 'rows of another ledger than this transaction''s'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'own_ledger';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION daybook.check_own_ledger() IS 'Rows belong to the ledger that the transaction is about.';

CREATE FUNCTION daybook.check_closed_periods() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    head daybook.heads;
    ledger integer;
BEGIN
    SELECT min(ledger_id) INTO ledger FROM added;
    IF ledger IS NULL THEN
        RETURN NULL;
    END IF;
    head := daybook.written_head(ledger);
    IF EXISTS (
        SELECT FROM added a
         WHERE a.ledger_id <> ledger OR NOT EXISTS (
            SELECT FROM daybook.events e
             WHERE e.ledger_id = ledger AND e.seq > head.previous_seq AND e.seq <= head.seq
               AND CASE WHEN e.type = CASE TG_OP WHEN 'INSERT' THEN 'period_closed' ELSE 'period_reopened' END
                   THEN convert_from(e.body, 'UTF8')::json -> 'data' ->> 'period' = a.period
                        AND (TG_OP = 'DELETE' OR e.seq = a.seq) END)) THEN
        RAISE EXCEPTION 'ledger %: a period is closed and reopened by an event of the same transaction', ledger
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'closed_by_event';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION daybook.check_closed_periods() IS 'A period is marked closed, or no longer, only beside the event that says so.';

CREATE TRIGGER moves_forward BEFORE INSERT OR UPDATE ON daybook.heads
    FOR EACH ROW EXECUTE FUNCTION daybook.check_head();
CREATE CONSTRAINT TRIGGER kept AFTER INSERT OR UPDATE ON daybook.heads
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION daybook.check_head_kept();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON daybook.heads
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();

CREATE TRIGGER contiguous AFTER INSERT ON daybook.events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_events();
CREATE TRIGGER balanced AFTER INSERT ON daybook.postings
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_postings();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.events
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.postings
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.event_streams
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.endings
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON daybook.accounts
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER keeps_its_name BEFORE UPDATE OF ledger_id, account_id, opened_seq, address ON daybook.accounts
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER stays_closed BEFORE UPDATE ON daybook.accounts
    FOR EACH ROW WHEN (OLD.closed_seq IS NOT NULL) EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.assets
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();

CREATE TRIGGER own_ledger AFTER INSERT ON daybook.event_streams
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.endings
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.idempotency_keys
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.assets
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.accounts
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.balances
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger_update AFTER UPDATE ON daybook.balances
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger_update AFTER UPDATE ON daybook.accounts
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.streams
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger_update AFTER UPDATE ON daybook.streams
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger AFTER INSERT ON daybook.holds
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();
CREATE TRIGGER own_ledger_delete AFTER DELETE ON daybook.holds
    REFERENCING OLD TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_own_ledger();

CREATE TRIGGER closed_by_event AFTER INSERT ON daybook.closed_periods
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_closed_periods();
CREATE TRIGGER reopened_by_event AFTER DELETE ON daybook.closed_periods
    REFERENCING OLD TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_closed_periods();
CREATE TRIGGER stays BEFORE UPDATE OR TRUNCATE ON daybook.closed_periods
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();

-- ENABLE ALWAYS: the guards fire under session_replication_role = replica too.
DO $$
DECLARE
    guard record;
BEGIN
    FOR guard IN SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
                  WHERE tgrelid::regclass::text LIKE 'daybook.%' AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', guard.relation, guard.tgname);
    END LOOP;
END $$;

-- ---------------------------------------------------------------- reading

CREATE FUNCTION daybook.seq_at(ledger integer, moment timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
BEGIN
    SELECT seq INTO high FROM daybook.heads WHERE ledger_id = ledger;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT recorded_at <= moment FROM daybook.events WHERE ledger_id = ledger AND seq = middle) THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;
COMMENT ON FUNCTION daybook.seq_at(integer, timestamptz) IS
    'The last seq recorded at or before a moment (0: none). recorded_at never falls as seq grows, so it bisects.';

-- ---------------------------------------------------------------- who may do what

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['daybook_owner', 'daybook_writer', 'daybook_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
    -- COPY FROM refuses tables under row-level security; the write guards stand in for it.
    IF NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'daybook_writer') THEN
        ALTER ROLE daybook_writer BYPASSRLS;
    END IF;
END $$;

GRANT USAGE ON SCHEMA daybook TO daybook_owner, daybook_writer, daybook_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA daybook TO daybook_writer, daybook_reader;
GRANT INSERT ON daybook.ledgers, daybook.heads, daybook.events, daybook.postings, daybook.event_streams, daybook.endings,
    daybook.idempotency_keys, daybook.assets, daybook.accounts, daybook.balances, daybook.streams, daybook.holds,
    daybook.closed_periods TO daybook_writer;
GRANT UPDATE (time_zone, opened_at) ON daybook.ledgers TO daybook_writer;
GRANT UPDATE ON daybook.heads, daybook.balances, daybook.streams TO daybook_writer;
GRANT UPDATE (closed_seq, terms) ON daybook.accounts TO daybook_writer;
GRANT DELETE ON daybook.holds, daybook.closed_periods TO daybook_writer;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['heads', 'events', 'postings', 'event_streams', 'endings', 'idempotency_keys',
                                'assets', 'accounts', 'balances', 'streams', 'holds', 'closed_periods'] LOOP
        EXECUTE format('ALTER TABLE daybook.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_ledger ON daybook.%I FOR SELECT TO daybook_reader
                        USING (ledger_id = (SELECT daybook.current_ledger()))', name);
    END LOOP;
END $$;
ALTER TABLE daybook.ledgers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON daybook.ledgers FOR SELECT TO daybook_reader USING (tenant = daybook.current_tenant());

DO $$
DECLARE
    object record;
BEGIN
    FOR object IN SELECT oid::regclass AS name FROM pg_class
                   WHERE relnamespace = 'daybook'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO daybook_owner', object.name);
    END LOOP;
    FOR object IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'daybook'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO daybook_owner', object.name);
    END LOOP;
END $$;

-- ---------------------------------------------------------------- projections
--
-- Read models, filled from the book and able to be filled again. A read model is a table partitioned by
-- version: `<table>_v<version>` holds a version's rows, so that a new version is built beside the one that
-- serves, and taking its place is a change of one row in `versions`.

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
                    USING (ledger_id = (SELECT daybook.current_ledger()))', read_model);
END $$;
COMMENT ON FUNCTION projections.take_in(regclass) IS
    'Every table of a read model is made with this: the projector owns it, a reader sees the rows of one ledger.';

SELECT projections.take_in('projections.checkpoints');
ALTER TABLE projections.versions OWNER TO daybook_projector;
GRANT SELECT ON projections.versions TO daybook_reader;
ALTER FUNCTION projections.take_in(regclass) OWNER TO daybook_projector;

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

-- ---------------------------------------------------------------- read models

CREATE TABLE projections.tiles (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index      bigint NOT NULL CHECK (index >= 0),
    root       bytea NOT NULL CHECK (length(root) = 32),
    hashes     bytea NOT NULL CHECK (length(hashes) = 256 * 32),
    PRIMARY KEY (version, ledger_id, level, index)
) PARTITION BY LIST (version);
ALTER TABLE projections.tiles ALTER hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE projections.tiles IS
    'Completed tiles (C2SP tlog-tiles): 256 neighbouring hashes of a level of the tree, and the root over them.';
COMMENT ON COLUMN projections.tiles.root IS
    'The hash of this tile in the level above: a tile there that is not complete yet is read as these.';

SELECT projections.take_in('projections.tiles');

CREATE FUNCTION projections.counters(kind smallint, amount bigint)
    RETURNS TABLE (debits_posted bigint, credits_posted bigint, debits_pending bigint, credits_pending bigint)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN kind = 0 AND amount > 0 THEN amount ELSE 0 END,
           CASE WHEN kind = 0 AND amount < 0 THEN -amount ELSE 0 END,
           CASE WHEN amount < 0 THEN 0 WHEN kind = 1 THEN amount WHEN kind = 2 THEN -amount ELSE 0 END,
           CASE WHEN amount > 0 THEN 0 WHEN kind = 1 THEN -amount WHEN kind = 2 THEN amount ELSE 0 END
    $$;
COMMENT ON FUNCTION projections.counters(smallint, bigint) IS 'What a leg adds to each of the four counters.';

CREATE FUNCTION projections.normal_sign(terms text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN (terms::jsonb ->> 'type' IN ('asset', 'expense')) <> coalesce((terms::jsonb ->> 'contra')::boolean, false)
                      THEN 1 ELSE -1 END $$;
COMMENT ON FUNCTION projections.normal_sign(text) IS
    'What turns debits less credits into a balance on the normal side of an account with these terms.';

CREATE FUNCTION projections.legs(ledger integer, after bigint, upto bigint, scanning boolean)
    RETURNS TABLE (seq bigint, leg smallint, account_id integer, asset_id integer, kind smallint, amount bigint,
                   effective_at timestamptz)
    LANGUAGE sql STABLE
    AS $$
    SELECT p.seq, p.leg, p.account_id, p.asset_id, p.kind, p.amount, p.effective_at
      FROM daybook.postings p
     WHERE scanning AND p.ledger_id = ledger AND p.seq > after AND p.seq <= upto
    UNION ALL
    SELECT e.seq, (l.number - 1)::smallint, a.account_id, s.asset_id,
           (CASE l.kind WHEN 'pending' THEN 1 WHEN 'release' THEN 2 ELSE 0 END)::smallint,
           CASE l.side WHEN 'debit' THEN l.amount ELSE -l.amount END, e.effective_at
      FROM daybook.events e
     CROSS JOIN LATERAL ROWS FROM (
           jsonb_to_recordset(convert_from(e.body, 'UTF8')::jsonb -> 'postings')
               AS (account text, asset text, side text, amount bigint, kind text)
           ) WITH ORDINALITY AS l (account, asset, side, amount, kind, number)
     CROSS JOIN LATERAL (SELECT c.account_id FROM daybook.accounts c
                          WHERE c.ledger_id = ledger AND c.address = l.account OFFSET 0) a
     CROSS JOIN LATERAL (SELECT t.asset_id FROM daybook.assets t
                          WHERE t.ledger_id = ledger AND t.asset = l.asset OFFSET 0) s
     WHERE NOT scanning AND e.ledger_id = ledger AND e.seq > after AND e.seq <= upto AND e.legs > 0
    $$;
COMMENT ON FUNCTION projections.legs(integer, bigint, bigint, boolean) IS
    'The legs of a range of events. Postings have no index by seq: a small range is read from the bodies, one that is a good part of the book by scanning the posting rows.';

CREATE TABLE projections.activity (
    version       integer NOT NULL,
    ledger_id     integer NOT NULL,
    account_id    integer NOT NULL,
    asset_id      integer NOT NULL,
    effective_at  timestamptz NOT NULL,
    seq           bigint NOT NULL,
    amount        bigint NOT NULL,
    leg           smallint NOT NULL,
    kind          smallint NOT NULL,
    PRIMARY KEY (version, ledger_id, account_id, asset_id, effective_at, seq, leg)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.activity IS 'Every leg, by account and asset in effective order; amount and kind as in daybook.postings.';

CREATE TABLE projections.daily_balances (
    version          integer NOT NULL,
    ledger_id        integer NOT NULL,
    account_id       integer NOT NULL,
    asset_id         integer NOT NULL,
    debits_posted    bigint NOT NULL,
    credits_posted   bigint NOT NULL,
    debits_pending   numeric NOT NULL,
    credits_pending  numeric NOT NULL,
    day              date NOT NULL,
    PRIMARY KEY (version, ledger_id, account_id, asset_id, day)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.daily_balances IS
    'What the legs effective on a calendar day of the ledger''s time zone add to the four counters of (account, asset).';
COMMENT ON COLUMN projections.daily_balances.debits_pending IS
    'Numeric, because holds of one day that follow upon each other may be more than an account ever holds at once.';

CREATE TABLE projections.search (
    version       integer NOT NULL,
    ledger_id     integer NOT NULL,
    seq           bigint NOT NULL,
    effective_at  timestamptz NOT NULL,
    type          text NOT NULL,
    accounts      integer[] NOT NULL,
    assets        integer[] NOT NULL,
    amounts       bigint[] NOT NULL,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
CREATE INDEX search_effective_at ON projections.search (version, ledger_id, effective_at, seq);
COMMENT ON TABLE projections.search IS 'One row a transaction: what it can be searched by, but for its terms.';
COMMENT ON COLUMN projections.search.amounts IS 'Unsigned amounts of its legs; assets names the asset of each.';

CREATE TABLE projections.search_terms (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    term       bytea NOT NULL,
    PRIMARY KEY (version, ledger_id, term, seq)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.search_terms IS
    'Which transactions have a reference, a pair of metadata, or a pair in a later remark: see reference_term and pair_term.';

CREATE TABLE projections.search_amounts (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    amount     bigint NOT NULL,
    seq        bigint NOT NULL,
    asset_id   integer NOT NULL,
    PRIMARY KEY (version, ledger_id, asset_id, amount, seq)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.search_amounts IS 'Which transactions have a leg of an amount.';

CREATE FUNCTION projections.reference_term(reference text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT substr(sha256(convert_to('reference:' || reference, 'UTF8')), 1, 16) $$;
COMMENT ON FUNCTION projections.reference_term(text) IS 'Half a SHA-256: as short as a key should be, whatever was written.';

CREATE FUNCTION projections.pair_term(kind text, name text, value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT substr(sha256(convert_to(kind || ':' || length(name) || ':' || name || value, 'UTF8')), 1, 16) $$;
COMMENT ON FUNCTION projections.pair_term(text, text, text) IS
    'A pair of metadata, or of a remark. The name''s length keeps pairs apart: a=bc is not ab=c.';

CREATE TABLE projections.assertions (
    version      integer NOT NULL,
    ledger_id    integer NOT NULL,
    seq          bigint NOT NULL,
    account_id   integer NOT NULL,
    asset_id     integer NOT NULL,
    at           timestamptz NOT NULL,
    expected     bigint NOT NULL,
    tolerance    bigint NOT NULL,
    actual       bigint NOT NULL,
    failing_seq  bigint,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
CREATE INDEX assertions_place ON projections.assertions (version, ledger_id, account_id, asset_id, at);
CREATE INDEX assertions_failing ON projections.assertions (version, ledger_id, seq) WHERE failing_seq IS NOT NULL;
COMMENT ON TABLE projections.assertions IS 'Every asserted balance and the posted balance that the ledger now has at that moment.';
COMMENT ON COLUMN projections.assertions.failing_seq IS 'The event since which it fails; null: it holds.';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['activity', 'daily_balances', 'search', 'search_terms', 'search_amounts', 'assertions'] LOOP
        PERFORM projections.take_in(('projections.' || name)::regclass);
    END LOOP;
END $$;
ALTER FUNCTION projections.counters(smallint, bigint) OWNER TO daybook_projector;
ALTER FUNCTION projections.normal_sign(text) OWNER TO daybook_projector;
ALTER FUNCTION projections.legs(integer, bigint, bigint, boolean) OWNER TO daybook_projector;
ALTER FUNCTION projections.reference_term(text) OWNER TO daybook_projector;
ALTER FUNCTION projections.pair_term(text, text, text) OWNER TO daybook_projector;

-- ---------------------------------------------------------------- credits

CREATE TABLE projections.credit_transactions (
    version       integer NOT NULL,
    ledger_id     integer NOT NULL,
    seq           bigint NOT NULL,
    effective_at  timestamptz NOT NULL,
    amount        bigint NOT NULL,
    balance       bigint NOT NULL,
    used          bigint NOT NULL,
    purchased     bigint NOT NULL,
    paid          bigint NOT NULL,
    refunded      bigint NOT NULL,
    kind          text NOT NULL,
    owner         text NOT NULL,
    credit_type   text NOT NULL,
    asset         text NOT NULL,
    package       text NOT NULL,
    purchase      text NOT NULL,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
CREATE INDEX credit_transactions_of_owner ON projections.credit_transactions (version, ledger_id, owner, seq);
CREATE INDEX credit_transactions_of_wallet
    ON projections.credit_transactions (version, ledger_id, owner, credit_type, effective_at);
CREATE INDEX credit_transactions_effective_at ON projections.credit_transactions (version, ledger_id, effective_at);
COMMENT ON TABLE projections.credit_transactions IS
    'One row an event of a wallet: the signed change of its available units and the units available then.';
COMMENT ON COLUMN projections.credit_transactions.used IS 'Units used, less those of uses taken back.';
COMMENT ON COLUMN projections.credit_transactions.paid IS 'Money with tax, minor units of asset; so is refunded.';
SELECT projections.take_in('projections.credit_transactions');

-- ---------------------------------------------------------------- subscriptions

CREATE TABLE projections.subscriptions (
    checkpoint       bigint NOT NULL CHECK (checkpoint >= 0),
    made_at          timestamptz NOT NULL,
    failing_since    timestamptz,
    former_until     timestamptz,
    subscription     uuid NOT NULL DEFAULT gen_random_uuid(),
    ledger_id        integer NOT NULL,
    state            text NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    disabled_reason  text,
    scheme           text NOT NULL CHECK (scheme IN ('standard', 'sha256', 'trueidentity', 'kredit')),
    url              text NOT NULL,
    description      text NOT NULL,
    types            text[],
    secret           bytea NOT NULL,
    former_secret    bytea,
    provider         text,
    PRIMARY KEY (ledger_id, subscription),
    CHECK ((state = 'disabled') = (disabled_reason IS NOT NULL)),
    CHECK ((former_secret IS NULL) = (former_until IS NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE projections.subscriptions IS
    'Who is sent a ledger''s events, and how far: every event up to the checkpoint was delivered, not wanted, or is a message.';
COMMENT ON COLUMN projections.subscriptions.secret IS 'Sealed with a key outside the database; so is the former one of a rotation.';
COMMENT ON COLUMN projections.subscriptions.failing_since IS 'The first failure after the last success.';
COMMENT ON COLUMN projections.subscriptions.provider IS 'The credit provider that is told, in its own words and of its own leads; null: everything.';

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
                        USING (ledger_id = (SELECT daybook.current_ledger()))', name);
    END LOOP;
END $$;

-- ---------------------------------------------------------------- the inbox

-- Webhooks as they came in, and the endpoints that they came to. A schema of its own, apart from the ledgers, for a
-- role of its own, which row-level security holds to one tenant at a time.
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

-- ---------------------------------------------------------------- vouchers

CREATE TABLE projections.vouchers (
    version         integer NOT NULL,
    ledger_id       integer NOT NULL,
    seq             bigint NOT NULL,
    amount          bigint NOT NULL,
    redeemed        bigint NOT NULL,
    remaining       bigint NOT NULL,
    expired         bigint NOT NULL,
    issued_at       timestamptz NOT NULL,
    distributed_at  timestamptz,
    failures        integer NOT NULL,
    contradictions  integer NOT NULL,
    voucher         text COLLATE "C" NOT NULL,
    programme       text COLLATE "C" NOT NULL,
    asset           text NOT NULL,
    beneficiary     text COLLATE "C" NOT NULL,
    distributor     text NOT NULL,
    status          text NOT NULL,
    PRIMARY KEY (version, ledger_id, voucher)
) PARTITION BY LIST (version);
CREATE INDEX vouchers_of_programme ON projections.vouchers (version, ledger_id, programme, status, voucher);
CREATE INDEX vouchers_of_beneficiary ON projections.vouchers (version, ledger_id, beneficiary, voucher);
CREATE INDEX vouchers_to_distribute ON projections.vouchers (version, distributor, ledger_id, seq)
    WHERE distributed_at IS NULL AND status = 'issued' AND distributor <> '';
COMMENT ON TABLE projections.vouchers IS 'Every voucher as its last event, seq, has left it; amounts in minor units of its asset.';
COMMENT ON COLUMN projections.vouchers.distributed_at IS 'When it was recorded that the distributor has it.';
COMMENT ON COLUMN projections.vouchers.contradictions IS 'How often something was reported of it that cannot be.';

SELECT projections.take_in('projections.vouchers');

-- Who people are, beneficiaries above all: outside the book, which has a commitment alone, so that they can be erased.
CREATE TABLE access.persons (
    registered_at  timestamptz NOT NULL,
    tenant         text NOT NULL REFERENCES access.tenants,
    ledger         text NOT NULL,
    person         text COLLATE "C" NOT NULL,
    commitment     text NOT NULL,
    key            bytea NOT NULL,
    sealed         bytea NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, ledger, kind, person)
);
COMMENT ON TABLE access.persons IS 'Personal data, each person''s under a key of their own. Erased: the row is gone.';
COMMENT ON COLUMN access.persons.key IS 'The person''s key, sealed with one that lies outside the database.';
COMMENT ON COLUMN access.persons.kind IS 'As what the book knows them: a beneficiary, who applies for a loan, whom a credit provider has named.';
COMMENT ON COLUMN access.persons.sealed IS 'The data, and the salt of the commitment.';
ALTER TABLE access.persons OWNER TO daybook_access;
-- A tenant's own, also where a query forgets to ask whose; for the owner, too.
ALTER TABLE access.persons ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.persons FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON access.persons TO daybook_access
    USING (tenant = (SELECT current_setting('daybook.tenant', true)));

-- How often a webhook came again: what the keys of its sender are good for.
ALTER TABLE inbox.webhooks ADD COLUMN repeats integer NOT NULL DEFAULT 0 CHECK (repeats >= 0);
GRANT UPDATE (repeats) ON inbox.webhooks TO daybook_inbox;
COMMENT ON COLUMN inbox.webhooks.repeats IS 'How often it was sent again after it was stored.';

-- ---------------------------------------------------------------- loans

CREATE TABLE projections.loans (
    version           integer NOT NULL,
    ledger_id         integer NOT NULL,
    seq               bigint NOT NULL,
    requested         bigint NOT NULL,
    amount            bigint,
    disbursed         bigint NOT NULL,
    principal         bigint NOT NULL,
    interest          bigint NOT NULL,
    fee               bigint NOT NULL,
    penalty           bigint NOT NULL,
    overpaid          bigint NOT NULL,
    submitted_at      timestamptz NOT NULL,
    oldest_due        date,
    grace_days        integer NOT NULL,
    non_accrual_days  integer,
    instalments       integer NOT NULL,
    non_accrual       boolean NOT NULL,
    charged_off       boolean NOT NULL,
    daily             boolean NOT NULL,
    loan              text COLLATE "C" NOT NULL,
    borrower          text COLLATE "C" NOT NULL,
    asset             text COLLATE "C" NOT NULL,
    status            text NOT NULL,
    provider          text NOT NULL,
    method            text NOT NULL,
    rate              text NOT NULL,
    PRIMARY KEY (version, ledger_id, loan)
) PARTITION BY LIST (version);
CREATE INDEX loans_of_borrower ON projections.loans (version, ledger_id, borrower, loan);
CREATE INDEX loans_by_status ON projections.loans (version, ledger_id, status, loan);
CREATE INDEX loans_past_due ON projections.loans (version, ledger_id, oldest_due, loan) WHERE status = 'active';
COMMENT ON TABLE projections.loans IS 'Every loan and application as its last event, seq, has left it; amounts in minor units of its asset.';
COMMENT ON COLUMN projections.loans.amount IS 'What was offered; null: nothing was.';
COMMENT ON COLUMN projections.loans.principal IS 'Owed, in advance too, as interest, fee and penalty are.';
COMMENT ON COLUMN projections.loans.oldest_due IS 'The first day on which something that is owed is due, past or to come.';
COMMENT ON COLUMN projections.loans.non_accrual_days IS 'Of the policy; null: income never stops.';
COMMENT ON COLUMN projections.loans.daily IS 'Interest is reckoned by the day.';

CREATE TABLE projections.borrowers (
    version      integer NOT NULL,
    ledger_id    integer NOT NULL,
    seq          bigint NOT NULL,
    score        integer,
    assessed_at  timestamptz NOT NULL,
    borrower     text COLLATE "C" NOT NULL,
    kyc          text NOT NULL,
    rating       text,
    PRIMARY KEY (version, ledger_id, borrower)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.borrowers IS 'Every borrower who was assessed, as event seq says.';

SELECT projections.take_in('projections.loans');
SELECT projections.take_in('projections.borrowers');

-- ---------------------------------------------------------------- arrears of loans

CREATE TABLE projections.arrears_loans (
    version     integer NOT NULL,
    ledger_id   integer NOT NULL,
    grace_days  integer NOT NULL,
    loan        text COLLATE "C" NOT NULL,
    asset       text NOT NULL,
    provider    text NOT NULL,
    PRIMARY KEY (version, ledger_id, loan)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.arrears_loans IS 'Every loan that was approved, and what of its terms ageing needs; an empty provider: our own.';

CREATE TABLE projections.arrears_exposures (
    version      integer NOT NULL,
    ledger_id    integer NOT NULL,
    principal    bigint NOT NULL,
    day          date NOT NULL,
    oldest_due   date,
    loan         text COLLATE "C" NOT NULL,
    PRIMARY KEY (version, ledger_id, loan, day)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.arrears_exposures IS 'What of a loan is outstanding from a day on, minor units; until the next day that is here.';
COMMENT ON COLUMN projections.arrears_exposures.oldest_due IS 'The earliest due day of anything that is owed, past or to come.';

SELECT projections.take_in('projections.arrears_loans');
SELECT projections.take_in('projections.arrears_exposures');

-- ---------------------------------------------------------------- borrowers' payments

CREATE TABLE projections.loan_payments (
    version      integer NOT NULL,
    ledger_id    integer NOT NULL,
    seq          bigint NOT NULL,
    amount       bigint NOT NULL,
    in_suspense  bigint NOT NULL,
    refunded     bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    received_at  timestamptz,
    payment      text COLLATE "C" NOT NULL,
    method       text NOT NULL,
    asset        text COLLATE "C" NOT NULL,
    status       text NOT NULL,
    loan         text COLLATE "C" NOT NULL,
    borrower     text COLLATE "C" NOT NULL,
    reference    text NOT NULL,
    matched_by   text NOT NULL,
    PRIMARY KEY (version, ledger_id, payment)
) PARTITION BY LIST (version);
CREATE INDEX loan_payments_by_status ON projections.loan_payments (version, ledger_id, status, payment);
CREATE INDEX loan_payments_of_loan ON projections.loan_payments (version, ledger_id, loan, payment);
COMMENT ON TABLE projections.loan_payments IS 'Every payment of a borrower as its last event, seq, has left it; amounts in minor units of its asset.';
COMMENT ON COLUMN projections.loan_payments.loan IS 'The loan that it repaid; empty: none.';
COMMENT ON COLUMN projections.loan_payments.borrower IS 'Who pays, as was said; empty: nobody said.';

SELECT projections.take_in('projections.loan_payments');

-- ---------------------------------------------------------------- schedules of reconciliations

CREATE TABLE projections.reconciliation_schedules (
    from_at        timestamptz NOT NULL,
    next_at        timestamptz NOT NULL,
    job            uuid,
    ledger_id      integer NOT NULL,
    every_minutes  integer CHECK (every_minutes >= 1),
    side           text NOT NULL,
    daily_at       text CHECK (daily_at ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
    PRIMARY KEY (ledger_id, side),
    CHECK ((daily_at IS NULL) <> (every_minutes IS NULL))
);
COMMENT ON TABLE projections.reconciliation_schedules IS
    'When a ledger is compared with a side, and from when on: what is due becomes a job in the transaction that moves this on.';
COMMENT ON COLUMN projections.reconciliation_schedules.job IS 'Of the last time that was due; the next one waits for its end.';
COMMENT ON COLUMN projections.reconciliation_schedules.daily_at IS 'A time of the ledger''s time zone.';

-- No grant to the reader: people see it through the API, which asks as the projector.
ALTER TABLE projections.reconciliation_schedules OWNER TO daybook_projector;
ALTER TABLE projections.reconciliation_schedules ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_ledger ON projections.reconciliation_schedules FOR SELECT TO daybook_reader
    USING (ledger_id = (SELECT daybook.current_ledger()));

-- Of Kredit's tenants how to reach them, of sessions where borrowers are verified: outside the book, and sealed.
CREATE TABLE access.kredit_details (
    told_at  timestamptz NOT NULL,
    tenant   text NOT NULL REFERENCES access.tenants,
    ledger   text NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    sealed   bytea NOT NULL,
    PRIMARY KEY (tenant, ledger, subject)
);
COMMENT ON TABLE access.kredit_details IS 'What Kredit''s tenants and sessions have that is no business of the book: contacts, addresses of sessions.';
COMMENT ON COLUMN access.kredit_details.subject IS 'The stream that it is about.';
COMMENT ON COLUMN access.kredit_details.sealed IS 'JSON, sealed with the key that secrets of webhooks are sealed with.';
ALTER TABLE access.kredit_details OWNER TO daybook_access;
-- A tenant's own, also where a query forgets to ask whose; for the owner, too.
ALTER TABLE access.kredit_details ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.kredit_details FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON access.kredit_details TO daybook_access
    USING (tenant = (SELECT current_setting('daybook.tenant', true)));

-- ---------------------------------------------------------------- credit providers

CREATE TABLE projections.provider_leads (
    version     integer NOT NULL,
    ledger_id   integer NOT NULL,
    seq         bigint NOT NULL,
    requested   bigint NOT NULL,
    approved    bigint,
    disbursed   bigint NOT NULL,
    fee         bigint NOT NULL,
    servicing   bigint NOT NULL,
    sent_at     timestamptz NOT NULL,
    decided_at  timestamptz,
    reversed    boolean NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    lead        text COLLATE "C" NOT NULL,
    asset       text NOT NULL,
    rating      text NOT NULL,
    status      text NOT NULL,
    PRIMARY KEY (version, ledger_id, provider, lead)
) PARTITION BY LIST (version);
CREATE INDEX provider_leads_of_lead ON projections.provider_leads (version, ledger_id, lead);
CREATE INDEX provider_leads_by_time ON projections.provider_leads (version, ledger_id, sent_at);
COMMENT ON TABLE projections.provider_leads IS 'What became of each lead with each credit provider that it was sent to; amounts in minor units of its asset.';
COMMENT ON COLUMN projections.provider_leads.seq IS 'Of the event that sent it.';
COMMENT ON COLUMN projections.provider_leads.fee IS 'Without its tax; not owed where it is reversed.';
COMMENT ON COLUMN projections.provider_leads.servicing IS 'What we have kept of what was collected on the loan.';

SELECT projections.take_in('projections.provider_leads');
