-- The read model of borrowers' payments: their list, and the work list of what is in suspense.

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
