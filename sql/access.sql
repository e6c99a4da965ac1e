-- What the key ring runs as daybook_access: tenants and API keys. The secrets themselves are nowhere.

-- name: tenants
SELECT tenant, created_at FROM access.tenants WHERE tenant > %(after)s ORDER BY tenant LIMIT %(limit)s;

-- name: tenant
SELECT tenant FROM access.tenants WHERE tenant = %(tenant)s;

-- name: add_tenant
INSERT INTO access.tenants (tenant) VALUES (%(tenant)s) ON CONFLICT DO NOTHING RETURNING tenant, created_at;

-- name: lock_keys
-- Two processes that start at once make one first key.
LOCK TABLE access.api_keys IN SHARE ROW EXCLUSIVE MODE;

-- name: any_key
SELECT FROM access.api_keys LIMIT 1;

-- name: insert_key
-- No row: there is no such tenant.
INSERT INTO access.api_keys (key_id, tenant, prefix, hash, name, scopes, ledgers, created_by, expires_at, provider)
SELECT %(id)s, tenant, %(prefix)s, %(hash)s, %(name)s, %(scopes)s, %(ledgers)s, %(created_by)s, %(expires_at)s, %(provider)s
  FROM access.tenants WHERE tenant = %(tenant)s
RETURNING key_id, tenant, prefix, name, scopes, ledgers, created_at, created_by, expires_at, revoked_at, last_used_at, provider;

-- name: keys
SELECT key_id, tenant, prefix, name, scopes, ledgers, created_at, created_by, expires_at, revoked_at, last_used_at, provider
  FROM access.api_keys WHERE tenant = %(tenant)s ORDER BY created_at DESC, key_id;

-- name: revoke
UPDATE access.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
 WHERE tenant = %(tenant)s AND key_id = %(id)s
RETURNING key_id, tenant, prefix, name, scopes, ledgers, created_at, created_by, expires_at, revoked_at, last_used_at, provider;

-- name: end_later
-- The key that is replaced ends after the overlap, or when it would have ended anyway. The last column is the
-- end that it had before, which its successor has too.
UPDATE access.api_keys k
   SET expires_at = least(k.expires_at, clock_timestamp() + make_interval(secs => %(seconds)s))
  FROM (SELECT key_id, expires_at FROM access.api_keys
         WHERE tenant = %(tenant)s AND key_id = %(id)s AND revoked_at IS NULL
           AND (expires_at IS NULL OR expires_at > clock_timestamp()) FOR UPDATE) AS before
 WHERE k.key_id = before.key_id
RETURNING k.key_id, k.tenant, k.prefix, k.name, k.scopes, k.ledgers, k.created_at, k.created_by, k.expires_at,
          k.revoked_at, k.last_used_at, k.provider, before.expires_at;

-- name: use
-- A key that is good now, by its hash too: its prefix alone is known to many. That it was used is written at most
-- once in so many seconds.
WITH found AS (
    SELECT key_id, tenant, scopes, ledgers, expires_at, provider, last_used_at FROM access.api_keys
     WHERE prefix = %(prefix)s AND hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
), noted AS (
    UPDATE access.api_keys k SET last_used_at = clock_timestamp() FROM found
     WHERE k.key_id = found.key_id
       AND (found.last_used_at IS NULL OR found.last_used_at < clock_timestamp() - make_interval(secs => %(seconds)s))
)
SELECT tenant, scopes, ledgers, expires_at, provider FROM found;
