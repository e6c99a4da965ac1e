-- The read model of leads: filled as daybook_projector, read as daybook_reader.

-- name: add_leads
-- One row for each credit provider that a lead of the range was sent to.
INSERT INTO projections.provider_leads
      (version, ledger_id, seq, requested, disbursed, fee, servicing, sent_at, reversed, provider, lead, asset, rating, status)
SELECT %(version)s, %(ledger_id)s, e.seq, (data ->> 'amount')::bigint, 0, coalesce((match ->> 'fee')::bigint, 0), 0,
       (data ->> 'sent_at')::timestamptz, false, match ->> 'provider', data ->> 'lead', data ->> 'asset',
       coalesce(data ->> 'rating', ''), 'sent'
  FROM daybook.events e
 CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
 CROSS JOIN LATERAL jsonb_array_elements(data -> 'matched') AS match
 WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type = 'lead_distributed';

-- name: decide_leads
UPDATE projections.provider_leads l
   SET decided_at = (data ->> 'decided_at')::timestamptz, approved = (data -> 'offer' ->> 'amount')::bigint,
       status = CASE WHEN data ? 'offer' THEN 'offered' ELSE 'declined' END
  FROM daybook.events e
 CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
 WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type = 'lead_decided'
   AND l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.provider = data ->> 'provider' AND l.lead = data ->> 'lead';

-- name: accept_leads
UPDATE projections.provider_leads l SET status = 'accepted'
  FROM daybook.events e
 CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
 WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type = 'loan_offer_accepted'
   AND l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.provider = data ->> 'provider' AND l.lead = data ->> 'lead';

-- name: end_leads
-- A bid ends once, but for one that was accepted, whose capacity is given back when its loan is over.
WITH said AS (
    SELECT DISTINCT ON (lead, provider) data ->> 'lead' AS lead, ended ->> 'provider' AS provider, ended ->> 'became' AS became
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
     CROSS JOIN LATERAL jsonb_array_elements(data -> 'ended') AS ended
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s
       AND e.type IN ('loan_offer_accepted', 'lead_closed', 'lead_bidding_closed', 'lead_offers_expired')
     ORDER BY lead, provider, e.seq DESC
)
UPDATE projections.provider_leads l SET status = said.became
  FROM said
 WHERE l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.provider = said.provider AND l.lead = said.lead;

-- name: reverse_lead_fees
UPDATE projections.provider_leads l SET reversed = true
  FROM daybook.events e
 CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' AS data OFFSET 0) d
 WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type = 'lead_fee_reversed'
   AND l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.provider = data ->> 'provider' AND l.lead = data ->> 'lead';

-- name: lend_leads
-- What the loans of leads disburse, and what we keep of what they collect.
WITH said AS (
    SELECT d.body -> 'data' ->> 'loan' AS lead,
           sum(CASE WHEN e.type = 'loan_disbursed' THEN (d.body -> 'data' -> 'fact' ->> 'amount')::bigint ELSE 0 END) AS disbursed,
           sum((SELECT coalesce(sum(CASE leg ->> 'side' WHEN 'credit' THEN 1 ELSE -1 END * (leg ->> 'amount')::bigint), 0)
                  FROM jsonb_array_elements(d.body -> 'postings') AS leg
                 WHERE leg ->> 'account' = 'loans:servicing_income' AND leg ->> 'kind' IS NULL)) AS servicing
      FROM daybook.events e
     CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS body OFFSET 0) d
     WHERE e.ledger_id = %(ledger_id)s AND e.seq > %(after)s AND e.seq <= %(upto)s AND e.type LIKE 'loan\_%%'
       AND d.body ? 'postings'
     GROUP BY 1
)
UPDATE projections.provider_leads l
   SET disbursed = l.disbursed + said.disbursed, servicing = l.servicing + said.servicing
  FROM said
 WHERE l.version = %(version)s AND l.ledger_id = %(ledger_id)s AND l.lead = said.lead AND l.status IN ('accepted', 'released');

-- name: provider_leads
-- Leads of a credit provider beyond one, by name.
SELECT lead, status, asset, requested, approved, disbursed, fee, reversed, sent_at, decided_at
  FROM projections.provider_leads
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND provider = %(provider)s AND lead > %(after)s
   AND (%(status)s::text IS NULL OR status = %(status)s)
 ORDER BY lead LIMIT %(limit)s;

-- name: provider_counts
-- Of every credit provider, leads that were sent in a period: how many, answered, approved, accepted, waiting; microseconds to answer.
SELECT provider, count(*), count(decided_at), count(approved), count(*) FILTER (WHERE status IN ('accepted', 'released')),
       count(*) FILTER (WHERE status = 'sent'),
       coalesce(sum(extract(epoch FROM decided_at - sent_at) * 1000000)::bigint, 0)
  FROM projections.provider_leads
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND sent_at >= %(from)s AND sent_at < %(before)s
 GROUP BY provider;

-- name: provider_sums
-- Of one, by asset: leads, what was disbursed, what we earned: fees that stand and what we kept of collections.
SELECT asset, count(*), sum(disbursed), sum(CASE WHEN reversed THEN 0 ELSE fee END), sum(servicing)
  FROM projections.provider_leads
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND provider = %(provider)s
   AND sent_at >= %(from)s AND sent_at < %(before)s
 GROUP BY asset ORDER BY asset;

-- name: provider_amounts
-- Of one, by asset and range: how many leads asked for less than each bound and no less than the one before.
SELECT asset, width_bucket(requested, %(bounds)s::bigint[]), count(*)
  FROM projections.provider_leads
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND provider = %(provider)s
   AND sent_at >= %(from)s AND sent_at < %(before)s
 GROUP BY 1, 2 ORDER BY 1, 2;

-- name: provider_ratings
SELECT rating, count(*)
  FROM projections.provider_leads
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND provider = %(provider)s
   AND sent_at >= %(from)s AND sent_at < %(before)s
 GROUP BY 1 ORDER BY 1;
