-- What `daybook doctor` asks. Those of the ledgers run in one snapshot, over all ledgers, and return the
-- first of the damage only, so that they can run beside a service that writes.

-- name: settings
SELECT name, setting FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_standby_names') ORDER BY name;

-- name: synchronous_standbys
SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum');

-- name: clock
SELECT clock_timestamp();

-- name: size
SELECT pg_database_size(current_database());

-- name: totals
SELECT count(*), coalesce(sum(h.seq), 0)
  FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id) WHERE l.opened_at IS NOT NULL;

-- name: heads_ahead
-- The writer refuses to write when the clock is so far behind the head.
SELECT daybook.whole_name(l.tenant, l.name), h.recorded_at
  FROM daybook.heads h JOIN daybook.ledgers l USING (ledger_id)
 WHERE h.recorded_at > clock_timestamp() + interval '10 seconds' ORDER BY daybook.whole_name(l.tenant, l.name) LIMIT 20;

-- name: overdue_holds
SELECT daybook.whole_name(l.tenant, l.name), count(*), min(due.at)
  FROM (SELECT ledger_id, expires_at AS at FROM daybook.holds
        UNION ALL SELECT ledger_id, due_at FROM daybook.streams WHERE due_at IS NOT NULL) due
  JOIN daybook.ledgers l USING (ledger_id)
 WHERE due.at < clock_timestamp() - interval '1 minute'
 GROUP BY daybook.whole_name(l.tenant, l.name) ORDER BY daybook.whole_name(l.tenant, l.name) LIMIT 20;

-- name: heads_that_differ
-- Seqs are unique, so a head of n with n events of which the first is 1 and the last is n has no gap.
SELECT daybook.whole_name(l.tenant, l.name), h.seq, coalesce(e.events, 0), coalesce(e.first, 0), coalesce(e.last, 0)
  FROM daybook.heads h
  JOIN daybook.ledgers l USING (ledger_id)
  LEFT JOIN (SELECT ledger_id, count(*) AS events, min(seq) AS first, max(seq) AS last
               FROM daybook.events GROUP BY ledger_id) e USING (ledger_id)
 WHERE (coalesce(e.events, 0), coalesce(e.last, 0), coalesce(e.first, 1)) IS DISTINCT FROM (h.seq, h.seq, 1::bigint)
 ORDER BY daybook.whole_name(l.tenant, l.name) LIMIT 20;

-- name: legs_that_differ
-- Events whose legs are not as many as they say.
SELECT daybook.whole_name(l.tenant, l.name), coalesce(e.seq, p.seq), coalesce(e.legs, 0), coalesce(p.legs, 0)
  FROM (SELECT ledger_id, seq, legs FROM daybook.events WHERE legs > 0) e
  FULL JOIN (SELECT ledger_id, seq, count(*) AS legs FROM daybook.postings GROUP BY ledger_id, seq) p
    ON p.ledger_id = e.ledger_id AND p.seq = e.seq
  JOIN daybook.ledgers l ON l.ledger_id = coalesce(e.ledger_id, p.ledger_id)
 WHERE e.legs IS DISTINCT FROM p.legs ORDER BY 1, 2 LIMIT 20;

-- name: unbalanced_events
SELECT daybook.whole_name(l.tenant, l.name), p.seq, s.asset, sum(p.amount)
  FROM daybook.postings p
  JOIN daybook.ledgers l USING (ledger_id)
  LEFT JOIN daybook.assets s ON s.ledger_id = p.ledger_id AND s.asset_id = p.asset_id
 GROUP BY daybook.whole_name(l.tenant, l.name), p.seq, s.asset, p.kind HAVING sum(p.amount) <> 0
 ORDER BY daybook.whole_name(l.tenant, l.name), p.seq LIMIT 20;

-- name: balances_that_differ
-- A release takes from pending what a pending leg of the same side put there.
SELECT daybook.whole_name(l.tenant, l.name), a.address, s.asset
  FROM daybook.balances b
  FULL JOIN (
    SELECT ledger_id, account_id, asset_id,
           coalesce(sum(amount) FILTER (WHERE kind = 0 AND amount > 0), 0) AS dp,
           coalesce(sum(-amount) FILTER (WHERE kind = 0 AND amount < 0), 0) AS cp,
           coalesce(sum(CASE kind WHEN 1 THEN amount ELSE -amount END) FILTER (WHERE kind > 0 AND amount > 0), 0) AS dpend,
           coalesce(sum(CASE kind WHEN 1 THEN -amount ELSE amount END) FILTER (WHERE kind > 0 AND amount < 0), 0) AS cpend
      FROM daybook.postings GROUP BY ledger_id, account_id, asset_id) p
    ON p.ledger_id = b.ledger_id AND p.account_id = b.account_id AND p.asset_id = b.asset_id
  JOIN daybook.ledgers l ON l.ledger_id = coalesce(b.ledger_id, p.ledger_id)
  LEFT JOIN daybook.accounts a
    ON a.ledger_id = l.ledger_id AND a.account_id = coalesce(b.account_id, p.account_id)
  LEFT JOIN daybook.assets s ON s.ledger_id = l.ledger_id AND s.asset_id = coalesce(b.asset_id, p.asset_id)
 WHERE (b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending)
       IS DISTINCT FROM (p.dp, p.cp, p.dpend, p.cpend)
 ORDER BY 1, 2, 3 LIMIT 20;

-- name: webhooks_waiting
-- Longer than it takes to post one.
SELECT daybook.whole_name(tenant, ledger), count(*), min(received_at), min(reason) FROM inbox.webhooks
 WHERE state = 'received' AND received_at < clock_timestamp() - interval '1 minute'
 GROUP BY 1 ORDER BY 1 LIMIT 20;

-- name: webhooks_not_posted
SELECT daybook.whole_name(tenant, ledger), state, reason, count(*) FROM inbox.webhooks
 WHERE state IN ('parked', 'failed') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 50;
