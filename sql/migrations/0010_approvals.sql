-- Four eyes: what waits for a second person, and what became of it.

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

ALTER TABLE access.approvals OWNER TO daybook_access;
