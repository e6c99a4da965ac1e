-- The registry of people, as daybook_access, which row-level security holds to the tenant of the transaction.

-- name: work_for
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- name: tenants
SELECT tenant FROM access.tenants;

-- name: keep
INSERT INTO access.persons (registered_at, tenant, ledger, kind, person, commitment, key, sealed)
VALUES (clock_timestamp(), %(tenant)s, %(ledger)s, %(kind)s, %(person)s, %(commitment)s, %(key)s, %(sealed)s)
    ON CONFLICT (tenant, ledger, kind, person) DO UPDATE
   SET commitment = excluded.commitment, key = excluded.key, sealed = excluded.sealed;

-- name: person
SELECT person, registered_at, commitment, key, sealed FROM access.persons
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND kind = %(kind)s AND person = %(person)s;

-- name: persons
SELECT person, registered_at, commitment, key, sealed FROM access.persons
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND kind = %(kind)s AND person > %(after)s
 ORDER BY person LIMIT %(limit)s;

-- name: erase
DELETE FROM access.persons
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND kind = %(kind)s AND person = %(person)s;

-- name: lock
LOCK TABLE access.persons IN ROW EXCLUSIVE MODE;

-- name: lock_all
LOCK TABLE access.persons IN EXCLUSIVE MODE;

-- name: keys
SELECT tenant, ledger, kind, person, key FROM access.persons;

-- name: reseal
UPDATE access.persons SET key = %(key)s
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND kind = %(kind)s AND person = %(person)s;

-- name: begin
-- Of the session, so that it outlasts the transactions of a turn and ends with the process.
SELECT pg_advisory_lock(hashtext('daybook person'), hashtext(%(owner)s));

-- name: end
SELECT pg_advisory_unlock_all();
