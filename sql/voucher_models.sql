-- The read model of vouchers: filled as daybook_projector, read as daybook_reader.

-- name: add_vouchers
-- Those that the range issues, alone or in the place of others, as they begin.
WITH said AS MATERIALIZED (
    SELECT e.seq, e.type, e.recorded_at, convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data
      FROM daybook.events e
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type IN ('voucher_issued', 'voucher_reissued')
), opened AS (
    SELECT p.programme, coalesce(convert_from(e.body, 'UTF8')::jsonb -> 'data' ->> 'distributor', '') AS distributor
      FROM (SELECT DISTINCT data ->> 'programme' AS programme FROM said) p
      JOIN daybook.event_streams s
        ON s.ledger_id = %(ledger_id)s AND s.stream = 'programme:' || p.programme AND s.version = 1
      JOIN daybook.events e ON e.ledger_id = s.ledger_id AND e.seq = s.seq
)
INSERT INTO projections.vouchers
      (version, ledger_id, seq, amount, redeemed, remaining, expired, issued_at, failures, contradictions,
       voucher, programme, asset, beneficiary, distributor, status)
SELECT %(version)s, %(ledger_id)s, seq, (data ->> 'amount')::bigint, 0, (data ->> 'amount')::bigint, 0, recorded_at, 0, 0,
       coalesce(data ->> 'replacement', data ->> 'voucher'), programme, data ->> 'asset', data ->> 'beneficiary',
       distributor, 'issued'
  FROM said JOIN opened ON programme = data ->> 'programme';

-- name: move_vouchers
-- What the range makes of vouchers: sums, and the status after the last event that decides one. A delivery counts only
-- where the voucher was issued or had failed before it; a redemption of an expired one leaves it expired until it is whole.
WITH said AS MATERIALIZED (
    SELECT e.seq, e.type, e.recorded_at, d.data ->> 'voucher' AS voucher,
           CASE WHEN e.type = 'voucher_redeemed' THEN (d.data ->> 'amount')::bigint ELSE 0 END AS amount,
           d.data ? 'expiry_reversed' AS reversed
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type IN ('voucher_distributed', 'voucher_delivered', 'voucher_redeemed', 'voucher_expired', 'voucher_cancelled',
                      'voucher_failed', 'voucher_reissued', 'voucher_contradicted')
), changes AS (
    SELECT voucher, max(seq) AS seq, sum(amount) AS redeemed,
           count(*) FILTER (WHERE type = 'voucher_failed') AS failures,
           count(*) FILTER (WHERE type = 'voucher_contradicted') AS contradictions,
           min(recorded_at) FILTER (WHERE type = 'voucher_distributed') AS distributed_at,
           max(seq) FILTER (WHERE type = 'voucher_delivered') AS delivered_seq
      FROM said GROUP BY voucher
), decided AS (
    SELECT DISTINCT ON (voucher) voucher, seq, type, reversed FROM said
     WHERE type IN ('voucher_redeemed', 'voucher_expired', 'voucher_cancelled', 'voucher_failed', 'voucher_reissued')
     ORDER BY voucher, seq DESC
), after AS (
    SELECT v.voucher, c.seq, v.redeemed + c.redeemed AS redeemed, v.failures + c.failures AS failures,
           v.contradictions + c.contradictions AS contradictions, coalesce(v.distributed_at, c.distributed_at) AS distributed_at,
           CASE WHEN d.type = 'voucher_redeemed' AND v.redeemed + c.redeemed = v.amount THEN 'redeemed'
                WHEN d.type = 'voucher_redeemed' AND d.reversed THEN 'expired'
                WHEN d.type = 'voucher_redeemed' THEN 'partially_redeemed'
                WHEN d.type = 'voucher_failed' AND c.delivered_seq > d.seq THEN 'delivered'
                WHEN d.type IS NOT NULL THEN substr(d.type, 9)
                WHEN v.status IN ('issued', 'failed') AND c.delivered_seq IS NOT NULL THEN 'delivered'
                ELSE v.status END AS status
      FROM changes c
      JOIN projections.vouchers v
        ON v.version = %(version)s AND v.ledger_id = %(ledger_id)s AND v.voucher = c.voucher
      LEFT JOIN decided d ON d.voucher = c.voucher
)
UPDATE projections.vouchers v
   SET seq = a.seq, redeemed = a.redeemed, failures = a.failures, contradictions = a.contradictions,
       distributed_at = a.distributed_at, status = a.status,
       remaining = CASE WHEN a.status IN ('issued', 'delivered', 'partially_redeemed', 'failed') THEN v.amount - a.redeemed ELSE 0 END,
       expired = CASE WHEN a.status = 'expired' THEN v.amount - a.redeemed ELSE 0 END
  FROM after a
 WHERE v.version = %(version)s AND v.ledger_id = %(ledger_id)s AND v.voucher = a.voucher;

-- name: vouchers
SELECT voucher, programme, asset, beneficiary, status, amount, redeemed, remaining, expired, issued_at, distributed_at,
       contradictions, seq
  FROM projections.vouchers
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND voucher > %(after)s
   AND (%(programme)s::text IS NULL OR programme = %(programme)s) AND (%(status)s::text IS NULL OR status = %(status)s)
   AND (%(beneficiary)s::text IS NULL OR beneficiary = %(beneficiary)s)
 ORDER BY voucher LIMIT %(limit)s;

-- name: voucher_metrics
SELECT count(*), count(*) FILTER (WHERE distributor <> ''), count(*) FILTER (WHERE distributed_at IS NOT NULL),
       count(*) FILTER (WHERE distributed_at IS NULL AND failures > 0 AND distributor <> '')
  FROM projections.vouchers WHERE version = %(version)s AND ledger_id = %(ledger_id)s;

-- name: to_distribute
-- As daybook_projector, over the ledgers of the tenant that the distributor's key is of: vouchers that it has not, by the
-- live version; oldest first.
SELECT l.tenant, l.name, v.voucher
  FROM projections.versions p
  JOIN projections.vouchers v ON v.version = p.version
  JOIN daybook.ledgers l ON l.ledger_id = v.ledger_id
 WHERE p.projection = 'vouchers' AND p.state = 'live'
   AND l.tenant = %(tenant)s AND v.distributed_at IS NULL AND v.status = 'issued' AND v.distributor = %(distributor)s AND v.distributor <> ''
   AND NOT daybook.whole_name(l.tenant, l.name) || ' ' || v.voucher = ANY (%(waiting)s)
 ORDER BY v.ledger_id, v.seq LIMIT %(limit)s;

-- name: try_distributor
-- One process at a time distributes; the lock ends with the connection.
SELECT pg_try_advisory_lock(hashtext('daybook distributor'), hashtext(%(distributor)s));
