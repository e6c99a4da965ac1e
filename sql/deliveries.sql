-- Subscriptions and their messages, as daybook_projector, which row-level security does not hold back: so every
-- query names its ledger, but for those of the courier's look at all of them.

-- name: durably
-- The courier need not wait for the disk: what a crash takes back is sent again. What people are told is waited for.
SET LOCAL synchronous_commit = on;

-- name: ledger
SELECT l.ledger_id, h.seq FROM daybook.ledgers l JOIN daybook.heads h USING (ledger_id)
 WHERE l.tenant = %(tenant)s AND l.name = %(name)s AND l.opened_at IS NOT NULL;

-- name: create
INSERT INTO projections.subscriptions (subscription, ledger_id, state, scheme, url, description, types, provider, secret, checkpoint, made_at)
VALUES (%(subscription)s, %(ledger_id)s, 'active', %(scheme)s, %(url)s, %(description)s, %(types)s, %(provider)s, %(secret)s,
        %(checkpoint)s, %(now)s);

-- name: count
-- Credit providers' apart from the others.
SELECT count(*) FROM projections.subscriptions
 WHERE ledger_id = %(ledger_id)s AND state <> 'deleted' AND (provider IS NULL) = (%(provider)s::text IS NULL);

-- name: list
-- Of all or of one.
SELECT subscription::text, url, scheme, types, description, state, disabled_reason, checkpoint, failing_since, made_at,
       CASE WHEN former_until > %(now)s THEN former_until END,
       (SELECT count(*) FROM projections.messages m
         WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription AND NOT dead),
       (SELECT count(*) FROM projections.messages m
         WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription AND dead), provider
  FROM projections.subscriptions s
 WHERE ledger_id = %(ledger_id)s AND state <> 'deleted'
   AND (%(subscription)s::uuid IS NULL OR subscription = %(subscription)s)
 ORDER BY made_at, subscription;

-- name: change
-- What a credit provider is told of stays what concerns it.
UPDATE projections.subscriptions
   SET url = %(url)s, description = %(description)s, types = CASE WHEN provider IS NULL THEN %(types)s::text[] ELSE types END
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: scheme
SELECT scheme FROM projections.subscriptions
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted' FOR NO KEY UPDATE;

-- name: rotate
UPDATE projections.subscriptions
   SET secret = %(secret)s, former_secret = secret, former_until = %(former_until)s
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: pause
UPDATE projections.subscriptions SET state = 'paused', disabled_reason = NULL
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: resume
UPDATE projections.subscriptions SET state = 'active', disabled_reason = NULL, failing_since = NULL
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: hurry
-- What waits for a later attempt is tried now: somebody has mended the endpoint. A message that is being sent is left.
UPDATE projections.messages SET next_at = %(now)s
 WHERE (ledger_id, subscription, seq) IN (
    SELECT ledger_id, subscription, seq FROM projections.messages
     WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND NOT dead FOR UPDATE SKIP LOCKED);

-- name: delete
-- The courier clears away what belongs to it.
UPDATE projections.subscriptions SET state = 'deleted', disabled_reason = NULL
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: replay_from
UPDATE projections.subscriptions SET checkpoint = least(checkpoint, %(after)s)
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted'
RETURNING checkpoint;

-- name: revive
-- Dead messages, of a list or all those beyond a seq, get their whole schedule again.
UPDATE projections.messages SET dead = false, attempts = 0, next_at = %(now)s
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND dead AND seq > %(after)s
   AND (%(seqs)s::bigint[] IS NULL OR seq = ANY (%(seqs)s));

-- name: messages
SELECT m.seq, e.type, m.attempts, m.dead, m.next_at
  FROM projections.messages m JOIN daybook.events e USING (ledger_id, seq)
 WHERE m.ledger_id = %(ledger_id)s AND m.subscription = %(subscription)s AND m.seq > %(after)s
   AND (%(dead)s::boolean IS NULL OR m.dead = %(dead)s)
 ORDER BY m.seq LIMIT %(limit)s;

-- name: attempts
-- Newest first.
SELECT number, seq, attempt, made_at, status, error, latency_ms
  FROM projections.attempts
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND number < %(before)s
   AND (%(seq)s::bigint IS NULL OR seq = %(seq)s)
 ORDER BY ledger_id DESC, subscription DESC, number DESC LIMIT %(limit)s;

-- name: endpoint
SELECT url, scheme, secret, CASE WHEN former_until > %(now)s THEN former_secret END
  FROM projections.subscriptions
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state <> 'deleted';

-- name: note
INSERT INTO projections.attempts (ledger_id, subscription, seq, attempt, made_at, status, error, latency_ms)
VALUES (%(ledger_id)s, %(subscription)s, %(seq)s, %(attempt)s, %(now)s, %(status)s, %(error)s, %(latency_ms)s);

-- ---------------------------------------------------------------- the courier

-- name: behind
-- Active subscriptions with events beyond their checkpoint and room for more messages.
SELECT s.ledger_id, s.subscription::text
  FROM projections.subscriptions s JOIN daybook.heads h USING (ledger_id)
 WHERE s.state = 'active' AND h.seq > s.checkpoint
   AND (SELECT count(*) FROM projections.messages m
         WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription AND NOT m.dead) < %(room)s
 LIMIT 1000;

-- name: lock_behind
-- A statement of its own: the next one must see what was committed before the lock was had.
SELECT FROM projections.subscriptions
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state = 'active' FOR NO KEY UPDATE SKIP LOCKED;

-- name: take
-- Events beyond the checkpoint become messages, as many as there is room for, and the checkpoint moves over them.
-- One that is a message still (after a replay) stays as it is. A credit provider is told of its own stream alone.
WITH subscription AS (
    SELECT s.checkpoint, s.types, s.provider, %(room)s - (
            SELECT count(*) FROM projections.messages m
             WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription AND NOT m.dead) AS room
      FROM projections.subscriptions s WHERE s.ledger_id = %(ledger_id)s AND s.subscription = %(subscription)s
), looked AS (
    SELECT e.seq, CASE WHEN s.types IS NULL THEN true WHEN NOT e.type = ANY (s.types) THEN false
                       WHEN s.provider IS NULL THEN true
                       ELSE convert_from(e.body, 'UTF8')::jsonb -> 'streams' ? ('credit_provider:' || s.provider) END AS wanted,
           s.room
      FROM subscription s CROSS JOIN LATERAL (
        SELECT seq, type, body FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq > s.checkpoint
         ORDER BY ledger_id, seq LIMIT %(scan)s) e
), taken AS (
    SELECT seq, wanted FROM (
        SELECT seq, wanted, room, count(*) FILTER (WHERE wanted) OVER (ORDER BY seq) AS number FROM looked) n
     WHERE number <= room
), made AS (
    INSERT INTO projections.messages (ledger_id, subscription, seq, next_at, attempts, dead)
    SELECT %(ledger_id)s, %(subscription)s, seq, %(now)s, 0, false FROM taken WHERE wanted
        ON CONFLICT DO NOTHING
)
UPDATE projections.subscriptions SET checkpoint = (SELECT max(seq) FROM taken)
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND EXISTS (SELECT FROM taken);

-- name: due
-- Active subscriptions with a message whose time has come.
SELECT s.ledger_id, s.subscription::text FROM projections.subscriptions s
 WHERE s.state = 'active' AND EXISTS (
    SELECT FROM projections.messages m
     WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription AND NOT m.dead AND m.next_at <= %(now)s)
 LIMIT 1000;

-- name: claim
-- The next message of a subscription, locked until it was sent and that was written down.
SELECT m.seq, m.attempts, s.url, s.scheme, s.secret, CASE WHEN s.former_until > %(now)s THEN s.former_secret END,
       s.failing_since, l.name, h.incarnation, e.type, e.recorded_at, e.body, s.provider
  FROM projections.messages m
  JOIN projections.subscriptions s ON s.ledger_id = m.ledger_id AND s.subscription = m.subscription
  JOIN daybook.ledgers l ON l.ledger_id = m.ledger_id
  JOIN daybook.heads h ON h.ledger_id = m.ledger_id
  JOIN daybook.events e ON e.ledger_id = m.ledger_id AND e.seq = m.seq
 WHERE m.ledger_id = %(ledger_id)s AND m.subscription = %(subscription)s AND NOT m.dead AND m.next_at <= %(now)s
   AND s.state = 'active'
 ORDER BY m.next_at, m.seq LIMIT 1 FOR UPDATE OF m SKIP LOCKED;

-- name: delivered
DELETE FROM projections.messages WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND seq = %(seq)s;

-- name: works
UPDATE projections.subscriptions SET failing_since = NULL
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND failing_since IS NOT NULL;

-- name: failed
UPDATE projections.messages SET attempts = %(attempts)s, dead = %(dead)s, next_at = %(next_at)s
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND seq = %(seq)s;

-- name: fails
UPDATE projections.subscriptions SET failing_since = coalesce(failing_since, %(now)s)
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s RETURNING failing_since;

-- name: disable
UPDATE projections.subscriptions SET state = 'disabled', disabled_reason = %(reason)s
 WHERE ledger_id = %(ledger_id)s AND subscription = %(subscription)s AND state = 'active';

-- name: clear_messages
DELETE FROM projections.messages WHERE (ledger_id, subscription, seq) IN (
    SELECT m.ledger_id, m.subscription, m.seq FROM projections.messages m
      JOIN projections.subscriptions s ON s.ledger_id = m.ledger_id AND s.subscription = m.subscription
     WHERE s.state = 'deleted' FOR UPDATE OF m SKIP LOCKED);

-- name: clear_attempts
DELETE FROM projections.attempts a USING projections.subscriptions s
 WHERE s.state = 'deleted' AND a.ledger_id = s.ledger_id AND a.subscription = s.subscription;

-- name: clear_subscriptions
DELETE FROM projections.subscriptions s
 WHERE state = 'deleted' AND NOT EXISTS (
    SELECT FROM projections.messages m WHERE m.ledger_id = s.ledger_id AND m.subscription = s.subscription);

-- name: forget_attempts
-- Some at a time.
DELETE FROM projections.attempts WHERE (ledger_id, subscription, number) IN (
    SELECT ledger_id, subscription, number FROM projections.attempts
     WHERE made_at < %(before)s ORDER BY made_at LIMIT 10000);
