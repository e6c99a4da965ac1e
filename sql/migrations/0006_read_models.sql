-- Read models of what is in the book: legs in effective order, days, search, assertions.

CREATE FUNCTION projections.counters(kind smallint, amount bigint)
    RETURNS TABLE (debits_posted bigint, credits_posted bigint, debits_pending bigint, credits_pending bigint)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN kind = 0 AND amount > 0 THEN amount ELSE 0 END,
           CASE WHEN kind = 0 AND amount < 0 THEN -amount ELSE 0 END,
           CASE WHEN amount < 0 THEN 0 WHEN kind = 1 THEN amount WHEN kind = 2 THEN -amount ELSE 0 END,
           CASE WHEN amount > 0 THEN 0 WHEN kind = 1 THEN -amount WHEN kind = 2 THEN amount ELSE 0 END
    $$;
COMMENT ON FUNCTION projections.counters(smallint, bigint) IS 'What a leg adds to each of the four counters.';

CREATE FUNCTION projections.normal_sign(terms text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN (terms::jsonb ->> 'type' IN ('asset', 'expense')) <> coalesce((terms::jsonb ->> 'contra')::boolean, false)
                      THEN 1 ELSE -1 END $$;
COMMENT ON FUNCTION projections.normal_sign(text) IS
    'What turns debits less credits into a balance on the normal side of an account with these terms.';

CREATE FUNCTION projections.legs(ledger integer, after bigint, upto bigint, scanning boolean)
    RETURNS TABLE (seq bigint, leg smallint, account_id integer, asset_id integer, kind smallint, amount bigint,
                   effective_at timestamptz)
    LANGUAGE sql STABLE
    AS $$
    SELECT p.seq, p.leg, p.account_id, p.asset_id, p.kind, p.amount, p.effective_at
      FROM daybook.postings p
     WHERE scanning AND p.ledger_id = ledger AND p.seq > after AND p.seq <= upto
    UNION ALL
    SELECT e.seq, (l.number - 1)::smallint, a.account_id, s.asset_id,
           (CASE l.kind WHEN 'pending' THEN 1 WHEN 'release' THEN 2 ELSE 0 END)::smallint,
           CASE l.side WHEN 'debit' THEN l.amount ELSE -l.amount END, e.effective_at
      FROM daybook.events e
     CROSS JOIN LATERAL ROWS FROM (
           jsonb_to_recordset(convert_from(e.body, 'UTF8')::jsonb -> 'postings')
               AS (account text, asset text, side text, amount bigint, kind text)
           ) WITH ORDINALITY AS l (account, asset, side, amount, kind, number)
     CROSS JOIN LATERAL (SELECT c.account_id FROM daybook.accounts c
                          WHERE c.ledger_id = ledger AND c.address = l.account OFFSET 0) a
     CROSS JOIN LATERAL (SELECT t.asset_id FROM daybook.assets t
                          WHERE t.ledger_id = ledger AND t.asset = l.asset OFFSET 0) s
     WHERE NOT scanning AND e.ledger_id = ledger AND e.seq > after AND e.seq <= upto AND e.legs > 0
    $$;
COMMENT ON FUNCTION projections.legs(integer, bigint, bigint, boolean) IS
    'The legs of a range of events. Postings have no index by seq: a small range is read from the bodies, one that is a good part of the book by scanning the posting rows.';

CREATE TABLE projections.activity (
    version       integer NOT NULL,
    ledger_id     integer NOT NULL,
    account_id    integer NOT NULL,
    asset_id      integer NOT NULL,
    effective_at  timestamptz NOT NULL,
    seq           bigint NOT NULL,
    amount        bigint NOT NULL,
    leg           smallint NOT NULL,
    kind          smallint NOT NULL,
    PRIMARY KEY (version, ledger_id, account_id, asset_id, effective_at, seq, leg)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.activity IS 'Every leg, by account and asset in effective order; amount and kind as in daybook.postings.';

CREATE TABLE projections.daily_balances (
    version          integer NOT NULL,
    ledger_id        integer NOT NULL,
    account_id       integer NOT NULL,
    asset_id         integer NOT NULL,
    debits_posted    bigint NOT NULL,
    credits_posted   bigint NOT NULL,
    debits_pending   numeric NOT NULL,
    credits_pending  numeric NOT NULL,
    day              date NOT NULL,
    PRIMARY KEY (version, ledger_id, account_id, asset_id, day)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.daily_balances IS
    'What the legs effective on a calendar day of the ledger''s time zone add to the four counters of (account, asset).';
COMMENT ON COLUMN projections.daily_balances.debits_pending IS
    'Numeric, because holds of one day that follow upon each other may be more than an account ever holds at once.';

CREATE TABLE projections.search (
    version       integer NOT NULL,
    ledger_id     integer NOT NULL,
    seq           bigint NOT NULL,
    effective_at  timestamptz NOT NULL,
    type          text NOT NULL,
    accounts      integer[] NOT NULL,
    assets        integer[] NOT NULL,
    amounts       bigint[] NOT NULL,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
CREATE INDEX search_effective_at ON projections.search (version, ledger_id, effective_at, seq);
COMMENT ON TABLE projections.search IS 'One row a transaction: what it can be searched by, but for its terms.';
COMMENT ON COLUMN projections.search.amounts IS 'Unsigned amounts of its legs; assets names the asset of each.';

CREATE TABLE projections.search_terms (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    seq        bigint NOT NULL,
    term       bytea NOT NULL,
    PRIMARY KEY (version, ledger_id, term, seq)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.search_terms IS
    'Which transactions have a reference, a pair of metadata, or a pair in a later remark: see reference_term and pair_term.';

CREATE TABLE projections.search_amounts (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    amount     bigint NOT NULL,
    seq        bigint NOT NULL,
    asset_id   integer NOT NULL,
    PRIMARY KEY (version, ledger_id, asset_id, amount, seq)
) PARTITION BY LIST (version);
COMMENT ON TABLE projections.search_amounts IS 'Which transactions have a leg of an amount.';

CREATE FUNCTION projections.reference_term(reference text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT substr(sha256(convert_to('reference:' || reference, 'UTF8')), 1, 16) $$;
COMMENT ON FUNCTION projections.reference_term(text) IS 'Half a SHA-256: as short as a key should be, whatever was written.';

CREATE FUNCTION projections.pair_term(kind text, name text, value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT substr(sha256(convert_to(kind || ':' || length(name) || ':' || name || value, 'UTF8')), 1, 16) $$;
COMMENT ON FUNCTION projections.pair_term(text, text, text) IS
    'A pair of metadata, or of a remark. The name''s length keeps pairs apart: a=bc is not ab=c.';

CREATE TABLE projections.assertions (
    version      integer NOT NULL,
    ledger_id    integer NOT NULL,
    seq          bigint NOT NULL,
    account_id   integer NOT NULL,
    asset_id     integer NOT NULL,
    at           timestamptz NOT NULL,
    expected     bigint NOT NULL,
    tolerance    bigint NOT NULL,
    actual       bigint NOT NULL,
    failing_seq  bigint,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
CREATE INDEX assertions_place ON projections.assertions (version, ledger_id, account_id, asset_id, at);
CREATE INDEX assertions_failing ON projections.assertions (version, ledger_id, seq) WHERE failing_seq IS NOT NULL;
COMMENT ON TABLE projections.assertions IS 'Every asserted balance and the posted balance that the ledger now has at that moment.';
COMMENT ON COLUMN projections.assertions.failing_seq IS 'The event since which it fails; null: it holds.';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['activity', 'daily_balances', 'search', 'search_terms', 'search_amounts', 'assertions'] LOOP
        PERFORM projections.take_in(('projections.' || name)::regclass);
    END LOOP;
END $$;
ALTER FUNCTION projections.counters(smallint, bigint) OWNER TO daybook_projector;
ALTER FUNCTION projections.normal_sign(text) OWNER TO daybook_projector;
ALTER FUNCTION projections.legs(integer, bigint, bigint, boolean) OWNER TO daybook_projector;
ALTER FUNCTION projections.reference_term(text) OWNER TO daybook_projector;
ALTER FUNCTION projections.pair_term(text, text, text) OWNER TO daybook_projector;
