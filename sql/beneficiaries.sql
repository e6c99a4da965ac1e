-- The registry of beneficiaries, as daybook_access, which row-level security holds to the tenant of the transaction.

-- name: work_for
SELECT set_config('daybook.tenant', %(tenant)s, true);

-- name: tenants
SELECT tenant FROM access.tenants;

-- name: keep
INSERT INTO access.beneficiaries (registered_at, tenant, ledger, beneficiary, commitment, key, sealed)
VALUES (clock_timestamp(), %(tenant)s, %(ledger)s, %(beneficiary)s, %(commitment)s, %(key)s, %(sealed)s)
    ON CONFLICT (tenant, ledger, beneficiary) DO UPDATE
   SET commitment = excluded.commitment, key = excluded.key, sealed = excluded.sealed;

-- name: person
SELECT beneficiary, registered_at, commitment, key, sealed FROM access.beneficiaries
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND beneficiary = %(beneficiary)s;

-- name: persons
SELECT beneficiary, registered_at, commitment, key, sealed FROM access.beneficiaries
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND beneficiary > %(after)s
 ORDER BY beneficiary LIMIT %(limit)s;

-- name: erase
DELETE FROM access.beneficiaries
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND beneficiary = %(beneficiary)s;

-- name: lock
LOCK TABLE access.beneficiaries IN ROW EXCLUSIVE MODE;

-- name: lock_all
LOCK TABLE access.beneficiaries IN EXCLUSIVE MODE;

-- name: keys
SELECT tenant, ledger, beneficiary, key FROM access.beneficiaries;

-- name: reseal
UPDATE access.beneficiaries SET key = %(key)s
 WHERE tenant = %(tenant)s AND ledger = %(ledger)s AND beneficiary = %(beneficiary)s;

-- name: begin
-- Of the session, so that it outlasts the transactions of a turn and ends with the process.
SELECT pg_advisory_lock(hashtext('daybook beneficiary'), hashtext(%(owner)s));

-- name: end
SELECT pg_advisory_unlock_all();
