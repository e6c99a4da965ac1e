-- The read model of loans: what lists, overviews and reports of loans and borrowers are made from.

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
