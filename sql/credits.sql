-- The read model of prepaid credits: how it is filled, as daybook_projector, and what is read from it.

-- name: add_credit_transactions
-- One row an event of a wallet that says what its balance is then.
INSERT INTO projections.credit_transactions
      (version, ledger_id, seq, effective_at, amount, balance, used, purchased, paid, refunded, kind, owner, credit_type,
       asset, package, purchase)
SELECT %(version)s, %(ledger_id)s, seq, effective_at, (data ->> 'amount')::bigint, (data ->> 'balance')::bigint,
       coalesce((SELECT sum(CASE 'consumed' WHEN "to" THEN units WHEN "from" THEN -units END)
                   FROM jsonb_to_recordset(data -> 'slices') AS s ("from" text, "to" text, units bigint)), 0)
       - coalesce((SELECT sum(units) FROM jsonb_to_recordset(data -> 'lots') AS l ("from" text, units bigint)
                    WHERE "from" = 'consumed'), 0),
       coalesce((SELECT sum(units) FROM jsonb_to_recordset(data -> 'lots') AS l ("from" text, source text, units bigint)
                  WHERE "from" = 'issued' AND source = 'purchased'), 0),
       coalesce((data ->> 'paid')::bigint, CASE WHEN type = 'credits_added' THEN bought.cost END, 0),
       coalesce((data ->> 'refunded')::bigint, 0),
       CASE type WHEN 'credits_added' THEN CASE data ->> 'source' WHEN 'purchased' THEN 'purchase' ELSE data ->> 'source' END
                 WHEN 'purchase_fulfilled' THEN 'purchase'
                 WHEN 'credits_used' THEN 'usage'
                 WHEN 'credit_hold_captured' THEN 'usage'
                 WHEN 'usage_refunded' THEN 'refund'
                 WHEN 'credits_adjusted' THEN 'adjustment'
                 WHEN 'credits_held' THEN 'hold'
                 WHEN 'credit_hold_changed' THEN 'hold'
                 WHEN 'credit_hold_released' THEN 'release'
                 WHEN 'credits_expired' THEN 'expiry'
                 WHEN 'purchase_refunded' THEN 'purchase_refund'
                 WHEN 'purchase_refund_reversed' THEN 'refund_reversal'
                 WHEN 'purchase_frozen' THEN 'freeze'
                 WHEN 'purchase_unfrozen' THEN 'unfreeze'
                 WHEN 'dispute_lost' THEN 'dispute'
                 WHEN 'kyc_session_requested' THEN 'hold'
                 WHEN 'kyc_session_completed' THEN 'usage'
                 WHEN 'kyc_session_expired' THEN 'release'
                 WHEN 'kyc_session_failed' THEN 'release' END,
       data ->> 'owner', data ->> 'credit_type', coalesce(data ->> 'asset', bought.asset, ''),
       coalesce(data ->> 'package', ''), coalesce(data ->> 'order', '')
  FROM (SELECT seq, effective_at, type, convert_from(body, 'UTF8')::jsonb -> 'data' AS data
          FROM daybook.events
         WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s AND type = ANY (%(types)s)
        OFFSET 0) events
  LEFT JOIN LATERAL (SELECT cost, asset FROM jsonb_to_recordset(data -> 'lots') AS l (cost bigint, asset text) LIMIT 1)
       bought ON true
 WHERE data ? 'balance';

-- name: credit_history
-- The seqs of an owner's transactions, of one credit type or of all, the last first.
SELECT seq, used FROM projections.credit_transactions
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND owner = %(owner)s
   AND (%(credit_type)s::text IS NULL OR credit_type = %(credit_type)s)
 ORDER BY seq DESC LIMIT %(limit)s OFFSET %(offset)s;

-- name: credit_usage
-- What a wallet used and bought in a period, and in how many transactions.
SELECT coalesce(sum(used), 0)::bigint, coalesce(sum(purchased), 0)::bigint, count(*)
  FROM projections.credit_transactions
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND owner = %(owner)s AND credit_type = %(credit_type)s
   AND effective_at >= %(start)s AND effective_at < %(end)s;

-- name: credit_metrics
-- The same over all wallets of a credit type, with how many uses and purchases there were and how many were refunded: purchases of
-- which, after refunds that failed, some money was given back.
SELECT t.credit_type, coalesce(sum(used), 0)::bigint, coalesce(sum(purchased), 0)::bigint, count(*),
       count(*) FILTER (WHERE kind = 'usage'), count(*) FILTER (WHERE kind = 'refund'),
       count(*) FILTER (WHERE kind = 'purchase'), coalesce(max(back.purchases), 0)
  FROM projections.credit_transactions t
  LEFT JOIN (SELECT credit_type, count(*) AS purchases
               FROM (SELECT credit_type, purchase FROM projections.credit_transactions
                      WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND effective_at >= %(start)s AND effective_at < %(end)s
                        AND kind IN ('purchase_refund', 'refund_reversal')
                      GROUP BY credit_type, purchase HAVING sum(refunded) > 0) refunded
              GROUP BY credit_type) back ON back.credit_type = t.credit_type
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND effective_at >= %(start)s AND effective_at < %(end)s
 GROUP BY t.credit_type ORDER BY t.credit_type COLLATE "C";

-- name: credit_packages_sold
-- The packages that were bought in a period, the most popular first.
SELECT package, asset, count(*), sum(purchased)::bigint, sum(paid)::bigint
  FROM projections.credit_transactions
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND effective_at >= %(start)s AND effective_at < %(end)s
   AND kind = 'purchase' AND package <> ''
 GROUP BY package, asset ORDER BY count(*) DESC, package COLLATE "C", asset COLLATE "C" LIMIT %(limit)s;

-- name: credit_money
-- What was paid and given back in a period, by asset.
SELECT asset, sum(paid)::bigint, sum(refunded)::bigint
  FROM projections.credit_transactions
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND effective_at >= %(start)s AND effective_at < %(end)s
   AND asset <> ''
 GROUP BY asset ORDER BY asset COLLATE "C";

-- name: credit_bounds
-- When the ledger was opened, and now.
SELECT min(recorded_at), clock_timestamp() FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = 1;
