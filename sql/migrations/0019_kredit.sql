-- Callbacks to Kredit in its own form, and what is not for the book of what Kredit tells.

ALTER TABLE projections.subscriptions DROP CONSTRAINT subscriptions_scheme_check;
ALTER TABLE projections.subscriptions ADD CONSTRAINT subscriptions_scheme_check
    CHECK (scheme IN ('standard', 'sha256', 'trueidentity', 'kredit'));

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
