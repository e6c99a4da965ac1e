-- The read model of vouchers: what lists, distribution and figures are made from.

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

-- Who the beneficiaries are: outside the book, which has a commitment alone, so that a person can be erased.
CREATE TABLE access.beneficiaries (
    registered_at  timestamptz NOT NULL,
    tenant         text NOT NULL REFERENCES access.tenants,
    ledger         text NOT NULL,
    beneficiary    text COLLATE "C" NOT NULL,
    commitment     text NOT NULL,
    key            bytea NOT NULL,
    sealed         bytea NOT NULL,
    PRIMARY KEY (tenant, ledger, beneficiary)
);
COMMENT ON TABLE access.beneficiaries IS 'Personal data, each person''s under a key of their own. Erased: the row is gone.';
COMMENT ON COLUMN access.beneficiaries.key IS 'The person''s key, sealed with one that lies outside the database.';
COMMENT ON COLUMN access.beneficiaries.sealed IS 'Id number, name, phone, and the salt of the commitment.';
ALTER TABLE access.beneficiaries OWNER TO daybook_access;
-- A tenant's own, also where a query forgets to ask whose; for the owner, too.
ALTER TABLE access.beneficiaries ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.beneficiaries FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON access.beneficiaries TO daybook_access
    USING (tenant = (SELECT current_setting('daybook.tenant', true)));

-- How often a webhook came again: what the keys of its sender are good for.
ALTER TABLE inbox.webhooks ADD COLUMN repeats integer NOT NULL DEFAULT 0 CHECK (repeats >= 0);
GRANT UPDATE (repeats) ON inbox.webhooks TO daybook_inbox;
COMMENT ON COLUMN inbox.webhooks.repeats IS 'How often it was sent again after it was stored.';
