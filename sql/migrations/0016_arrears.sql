-- The read model of arrears: what of each loan is outstanding and since when something of it is owed, day by day.

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
