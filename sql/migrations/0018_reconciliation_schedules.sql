-- When ledgers are reconciled by themselves.

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
