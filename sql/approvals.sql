-- What waits for a second person, as daybook_access, which row-level security holds to the tenant that the transaction
-- names. Each but the first answers with the columns of `approval`, in its order.

-- name: work_for
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- name: approval
SELECT approval_id, request::text, evidence::text, asked_by, request_id, asked_at, expires_at, approved, decided_by,
       decided_at, reason, seq, events, rejection::text, expires_at <= clock_timestamp()
  FROM access.approvals WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND approval_id = %(id)s;

-- name: approvals
-- Newest first, beyond one of them.
SELECT approval_id, request::text, evidence::text, asked_by, request_id, asked_at, expires_at, approved, decided_by,
       decided_at, reason, seq, events, rejection::text, expires_at <= clock_timestamp()
  FROM access.approvals AS a
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s
   AND (%(after)s::uuid IS NULL OR (a.asked_at, a.approval_id) < (
        SELECT b.asked_at, b.approval_id FROM access.approvals AS b
         WHERE b.tenant = %(tenant)s AND b.ledger = %(ledger)s AND b.approval_id = %(after)s))
   AND (NOT %(pending)s OR (approved IS NULL AND expires_at > clock_timestamp()))
 ORDER BY asked_at DESC, approval_id DESC LIMIT %(limit)s;

-- name: of_key
SELECT approval_id, request::text, evidence::text, asked_by, request_id, asked_at, expires_at, approved, decided_by,
       decided_at, reason, seq, events, rejection::text, expires_at <= clock_timestamp()
  FROM access.approvals WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND key = %(key)s;

-- name: ask
-- No row: the request waits already, under this key.
INSERT INTO access.approvals (approval_id, tenant, ledger, key, request, evidence, asked_by, request_id, expires_at)
VALUES (%(id)s, %(tenant)s, %(ledger)s, %(key)s, %(request)s, %(evidence)s, %(asked_by)s, %(request_id)s,
        clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (tenant, ledger, key) DO NOTHING
RETURNING approval_id, request::text, evidence::text, asked_by, request_id, asked_at, expires_at, approved, decided_by,
          decided_at, reason, seq, events, rejection::text, false;

-- name: decide
-- Once, in time, and by somebody else; otherwise no row.
UPDATE access.approvals SET approved = %(approved)s, decided_by = %(by)s, decided_at = clock_timestamp(), reason = %(reason)s
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND approval_id = %(id)s
   AND approved IS NULL AND expires_at > clock_timestamp() AND asked_by <> %(by)s
RETURNING approval_id, request::text, evidence::text, asked_by, request_id, asked_at, expires_at, approved, decided_by,
          decided_at, reason, seq, events, rejection::text, false;

-- name: settle
-- What became of an approved one; whoever says so first is right, because all were told the same by the ledger.
UPDATE access.approvals SET seq = %(seq)s, events = %(events)s, rejection = %(rejection)s
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND approval_id = %(id)s
   AND approved AND seq IS NULL AND rejection IS NULL;
