-- Credit providers: keys that are a provider's, subscriptions that tell one of its own, people of other kinds than
-- beneficiaries, and the read model of leads.

ALTER TABLE access.api_keys ADD COLUMN provider text;
COMMENT ON COLUMN access.api_keys.provider IS 'The credit provider whose key it is, and of whose leads alone it knows; null: nobody''s.';

ALTER TABLE projections.subscriptions ADD COLUMN provider text;
COMMENT ON COLUMN projections.subscriptions.provider IS 'The credit provider that is told, in its own words and of its own leads; null: everything.';

ALTER TABLE access.beneficiaries DROP CONSTRAINT beneficiaries_pkey;
ALTER TABLE access.beneficiaries RENAME TO persons;
ALTER TABLE access.persons RENAME COLUMN beneficiary TO person;
ALTER TABLE access.persons RENAME CONSTRAINT beneficiaries_tenant_fkey TO persons_tenant_fkey;
ALTER TABLE access.persons ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'beneficiary';
ALTER TABLE access.persons ALTER COLUMN kind DROP DEFAULT;
ALTER TABLE access.persons ADD PRIMARY KEY (tenant, ledger, kind, person);
DO $$
DECLARE
    old record;
BEGIN
    -- From PostgreSQL 18 on, what must not be null is a constraint with a name.
    FOR old IN SELECT conname, attname FROM pg_constraint
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
                WHERE conrelid = 'access.persons'::regclass AND contype = 'n' AND conname LIKE 'beneficiaries%'
    LOOP
        EXECUTE format('ALTER TABLE access.persons RENAME CONSTRAINT %I TO %I', old.conname, 'persons_' || old.attname || '_not_null');
    END LOOP;
END $$;
COMMENT ON COLUMN access.persons.kind IS 'As what the book knows them: a beneficiary, who applies for a loan, whom a credit provider has named.';
COMMENT ON COLUMN access.persons.sealed IS 'The data, and the salt of the commitment.';

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
