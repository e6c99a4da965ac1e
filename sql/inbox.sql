-- The inbox, as daybook_inbox, which row-level security holds to the tenant that the transaction names.

-- name: work_for
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- ---------------------------------------------------------------- endpoints

-- name: create
INSERT INTO inbox.endpoints (endpoint, tenant, ledger, provider, state, is_default, description, settings, secret, made_at)
VALUES (%(endpoint)s, %(tenant)s, %(ledger)s, %(provider)s, 'active', %(is_default)s, %(description)s, %(settings)s, %(secret)s, %(now)s);

-- name: count
SELECT count(*) FROM inbox.endpoints WHERE ledger = %(ledger)s AND state = 'active';

-- name: endpoints
-- Of all or of one.
SELECT e.endpoint::text, e.provider, e.is_default, e.description, e.settings, e.made_at,
       CASE WHEN e.former_until > %(now)s THEN e.former_until END
  FROM inbox.endpoints e
 WHERE e.ledger = %(ledger)s AND e.state = 'active' AND (%(endpoint)s::uuid IS NULL OR e.endpoint = %(endpoint)s)
 ORDER BY e.made_at, e.endpoint;

-- name: lock_endpoint
SELECT provider FROM inbox.endpoints
 WHERE ledger = %(ledger)s AND endpoint = %(endpoint)s AND state = 'active' FOR NO KEY UPDATE;

-- name: change
UPDATE inbox.endpoints SET is_default = %(is_default)s, description = %(description)s, settings = %(settings)s
 WHERE ledger = %(ledger)s AND endpoint = %(endpoint)s AND state = 'active';

-- name: rotate
UPDATE inbox.endpoints SET secret = %(secret)s, former_secret = secret, former_until = %(former_until)s
 WHERE ledger = %(ledger)s AND endpoint = %(endpoint)s AND state = 'active';

-- name: delete
-- What came in stays; the secrets go.
UPDATE inbox.endpoints SET state = 'deleted', is_default = false, secret = NULL, former_secret = NULL, former_until = NULL
 WHERE ledger = %(ledger)s AND endpoint = %(endpoint)s AND state = 'active';

-- name: default_endpoint
SELECT ledger, settings FROM inbox.endpoints WHERE provider = %(provider)s AND state = 'active' AND is_default;

-- ---------------------------------------------------------------- what comes in

-- name: tenant_of
SELECT inbox.tenant_of(%(endpoint)s);

-- name: door
-- An endpoint of a provider, by its id or as the default, with the secrets in force.
SELECT endpoint::text, ledger, secret, CASE WHEN former_until > %(now)s THEN former_secret END
  FROM inbox.endpoints
 WHERE provider = %(provider)s AND state = 'active'
   AND CASE WHEN %(endpoint)s::uuid IS NULL THEN is_default ELSE endpoint = %(endpoint)s END;

-- name: store
-- No row: it was stored before.
INSERT INTO inbox.webhooks (received_at, next_at, endpoint, tenant, ledger, provider, event_id, type, subject, state, headers, body)
VALUES (%(now)s, %(now)s, %(endpoint)s, %(tenant)s, %(ledger)s, %(provider)s, %(event_id)s, %(type)s, %(subject)s, 'received',
        %(headers)s, %(body)s)
    ON CONFLICT (endpoint, event_id) DO NOTHING RETURNING number;

-- name: stored_before
UPDATE inbox.webhooks SET repeats = repeats + 1 WHERE endpoint = %(endpoint)s AND event_id = %(event_id)s
RETURNING number, type, subject;

-- ---------------------------------------------------------------- working on it

-- name: waiting
SELECT inbox.waiting(%(now)s);

-- name: claim
-- The next ones of a tenant, or one, locked until it is written down what became of them.
SELECT w.number, w.ledger, w.provider, w.event_id, w.type, w.subject, w.received_at, w.attempts, w.refusals, w.body, e.settings
  FROM inbox.webhooks w JOIN inbox.endpoints e USING (endpoint)
 WHERE w.state = 'received' AND w.next_at <= %(now)s AND (%(number)s::bigint IS NULL OR w.number = %(number)s)
 ORDER BY w.number LIMIT %(most)s FOR UPDATE OF w SKIP LOCKED;

-- name: settle
UPDATE inbox.webhooks
   SET state = %(state)s, reason = %(reason)s, detail = %(detail)s, seqs = %(seqs)s, refusals = refusals + %(refused)s,
       settled_at = %(now)s
 WHERE number = %(number)s;

-- name: postpone
UPDATE inbox.webhooks SET attempts = attempts + 1, reason = %(reason)s, detail = %(detail)s, next_at = %(next_at)s
 WHERE number = %(number)s;

-- ---------------------------------------------------------------- what people see and ask

-- name: webhooks
SELECT number, endpoint::text, provider, event_id, type, subject, state, reason, detail, seqs, attempts, received_at, settled_at,
       CASE WHEN state = 'received' THEN next_at END
  FROM inbox.webhooks
 WHERE ledger = %(ledger)s AND number > %(after)s AND (%(state)s::text IS NULL OR state = %(state)s)
   AND (%(provider)s::text IS NULL OR provider = %(provider)s)
 ORDER BY number LIMIT %(limit)s;

-- name: webhook
SELECT number, endpoint::text, provider, event_id, type, subject, state, reason, detail, seqs, attempts, received_at, settled_at,
       CASE WHEN state = 'received' THEN next_at END, headers, body
  FROM inbox.webhooks WHERE ledger = %(ledger)s AND number = %(number)s;

-- name: counts
SELECT state, count(*), min(received_at) FROM inbox.webhooks WHERE ledger = %(ledger)s GROUP BY state;

-- name: strangers
-- What parked webhooks of a provider are about, for a reason; by name, beyond one.
SELECT DISTINCT subject COLLATE "C" AS subject FROM inbox.webhooks
 WHERE ledger = %(ledger)s AND provider = %(provider)s AND state = 'parked' AND reason = %(reason)s
   AND subject COLLATE "C" > %(after)s
 ORDER BY subject LIMIT %(limit)s;

-- name: replay
-- Of those that were not posted: one, or all that are parked for a reason.
UPDATE inbox.webhooks
   SET state = 'received', reason = NULL, detail = NULL, attempts = 0, next_at = %(now)s, settled_at = NULL
 WHERE ledger = %(ledger)s AND state IN ('ignored', 'parked', 'failed')
   AND (%(number)s::bigint IS NULL OR number = %(number)s)
   AND (%(number)s::bigint IS NOT NULL OR state = 'parked' AND (%(reason)s::text IS NULL OR reason = %(reason)s))
RETURNING number;

-- name: metrics
-- A provider's webhooks of a ledger: how many, how often they came again, how long from coming in to being settled (ms).
SELECT count(*), coalesce(sum(repeats), 0), count(*) FILTER (WHERE state = 'received'), count(*) FILTER (WHERE state IN ('parked', 'failed')),
       extract(epoch FROM avg(settled_at - received_at)) * 1000,
       extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY settled_at - received_at)) * 1000
  FROM inbox.webhooks WHERE ledger = %(ledger)s AND provider = %(provider)s;
