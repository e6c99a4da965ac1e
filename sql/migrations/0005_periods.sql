-- Periods that close, and ledgers that go on as another incarnation after a restore.

CREATE TABLE daybook.closed_periods (
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (starts_at <= ends_at),
    period     text NOT NULL,
    PRIMARY KEY (ledger_id, period)
);
COMMENT ON TABLE daybook.closed_periods IS 'Periods that are closed now: [starts_at, ends_at), and the event that closed each.';

CREATE INDEX events_of_control ON daybook.events (ledger_id, seq)
    WHERE type IN ('period_closed', 'period_reopened', 'ledger_restored');
COMMENT ON INDEX daybook.events_of_control IS 'The few events that say which periods were closed, and which life of the ledger this is.';

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

CREATE TRIGGER closed_by_event AFTER INSERT ON daybook.closed_periods
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_closed_periods();
CREATE TRIGGER reopened_by_event AFTER DELETE ON daybook.closed_periods
    REFERENCING OLD TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION daybook.check_closed_periods();
CREATE TRIGGER stays BEFORE UPDATE OR TRUNCATE ON daybook.closed_periods
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();

ALTER TABLE daybook.closed_periods ENABLE ALWAYS TRIGGER closed_by_event;
ALTER TABLE daybook.closed_periods ENABLE ALWAYS TRIGGER reopened_by_event;
ALTER TABLE daybook.closed_periods ENABLE ALWAYS TRIGGER stays;

-- The incarnation may rise, with the event that says so and at no other time.
CREATE OR REPLACE FUNCTION daybook.check_head() RETURNS trigger
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

CREATE OR REPLACE FUNCTION daybook.check_head_kept() RETURNS trigger
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

GRANT SELECT ON daybook.closed_periods TO daybook_writer, daybook_reader, daybook_projector;
GRANT INSERT, DELETE ON daybook.closed_periods TO daybook_writer;

ALTER TABLE daybook.closed_periods ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_ledger ON daybook.closed_periods FOR SELECT TO daybook_reader
    USING (ledger_id = daybook.current_ledger());

ALTER TABLE daybook.closed_periods OWNER TO daybook_owner;
ALTER FUNCTION daybook.check_closed_periods() OWNER TO daybook_owner;
