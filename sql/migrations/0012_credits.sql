-- Prepaid credits: what wallets did, for histories, statistics and metrics.

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
