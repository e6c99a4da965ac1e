-- What ledger/guards.py looks at, in the catalogs that every user may read. The expectations stand there.

-- name: server
SELECT current_setting('server_version_num')::integer, current_setting('server_version');

-- name: settings
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit');

-- name: roles
-- The last column: whether whoever asks may become it.
SELECT rolname, rolbypassrls, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication, pg_has_role(oid, 'MEMBER')
  FROM pg_roles WHERE rolname IN ('daybook_owner', 'daybook_writer', 'daybook_reader', 'daybook_projector', 'daybook_inbox',
                                         'daybook_access');

-- name: memberships
SELECT m.rolname, o.rolname FROM pg_roles m JOIN pg_roles o ON o.oid <> m.oid
 WHERE m.rolname IN ('daybook_writer', 'daybook_reader', 'daybook_projector', 'daybook_inbox', 'daybook_access')
   AND pg_has_role(m.oid, o.oid, 'MEMBER') ORDER BY 1, 2;

-- name: grants
-- What others than the owner may do to the schema, its tables, sequences and columns; grantee 0 is everybody.
WITH granted (object, owner, acl, part) AS (
    SELECT 'schema', nspowner, nspacl, NULL FROM pg_namespace WHERE oid = to_regnamespace('daybook')
    UNION ALL
    SELECT relname, relowner, relacl, NULL FROM pg_class WHERE relnamespace = to_regnamespace('daybook')
    UNION ALL
    SELECT relname, relowner, attacl, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
     WHERE relnamespace = to_regnamespace('daybook')
)
SELECT DISTINCT coalesce(rolname, 'PUBLIC'), object,
       privilege_type || coalesce('(' || part || ')', '') || CASE WHEN is_grantable THEN '*' ELSE '' END
  FROM granted CROSS JOIN aclexplode(acl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
 WHERE grantee <> owner ORDER BY 1, 2, 3;

-- name: owners
SELECT 'table ' || relname, pg_get_userbyid(relowner) FROM pg_class
 WHERE relnamespace = to_regnamespace('daybook') AND relkind = 'r'
UNION ALL
SELECT 'function ' || proname, pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = to_regnamespace('daybook')
 ORDER BY 1;

-- name: triggers
SELECT relname, tgname, tgenabled::text, pg_get_triggerdef(pg_trigger.oid)
  FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
 WHERE relnamespace = to_regnamespace('daybook') AND NOT tgisinternal;

-- name: functions
SELECT proname, prosrc FROM pg_proc WHERE pronamespace = to_regnamespace('daybook');

-- name: constraints
SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
 WHERE relnamespace = to_regnamespace('daybook') AND convalidated;

-- name: row_security
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('daybook') AND relrowsecurity;

-- name: policies
SELECT tablename::text, policyname || ' ' || permissive || ' FOR ' || cmd || ' TO ' || array_to_string(roles, ', ')
       || ' USING ' || coalesce(qual, '') || coalesce(' CHECK ' || with_check, '')
  FROM pg_policies WHERE schemaname = 'daybook';

-- name: read_models
-- The tables of the schema `projections` that hold a ledger's rows, without partitions: whether row-level security
-- is on, and with which policies.
SELECT relname, relrowsecurity, array(
        SELECT policyname || ' ' || permissive || ' FOR ' || cmd || ' TO ' || array_to_string(roles, ', ')
               || ' USING ' || coalesce(qual, '') || coalesce(' CHECK ' || with_check, '')
          FROM pg_policies WHERE schemaname = 'projections' AND tablename = relname)
  FROM pg_class
 WHERE relnamespace = to_regnamespace('projections') AND relkind IN ('r', 'p') AND NOT relispartition
   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'ledger_id' AND NOT attisdropped)
 ORDER BY 1;

-- name: read_model_owners
SELECT 'schema projections', pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'projections'
UNION ALL
SELECT 'table projections.' || relname, pg_get_userbyid(relowner) FROM pg_class
 WHERE relnamespace = to_regnamespace('projections') AND relkind IN ('r', 'p')
 ORDER BY 1;

-- name: read_model_grants
-- What others than the owner may do in the schema `projections`, and whether the table is a partition.
WITH granted (object, owner, acl, part) AS (
    SELECT 'the schema projections', nspowner, nspacl, false FROM pg_namespace WHERE nspname = 'projections'
    UNION ALL
    SELECT 'projections.' || relname, relowner, relacl, relispartition FROM pg_class
     WHERE relnamespace = to_regnamespace('projections')
    UNION ALL
    SELECT 'projections.' || relname, relowner, attacl, true FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
     WHERE relnamespace = to_regnamespace('projections')
)
SELECT DISTINCT coalesce(rolname, 'PUBLIC'), object, privilege_type, part
  FROM granted CROSS JOIN aclexplode(acl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
 WHERE grantee <> owner ORDER BY 1, 2, 3;

-- name: control_plane
-- Whoever may do anything with the schema `access` or its tables, beside the role that owns them.
WITH granted (object, owner, acl) AS (
    SELECT 'the schema access', nspowner, nspacl FROM pg_namespace WHERE nspname = 'access'
    UNION ALL
    SELECT 'access.' || relname, relowner, relacl FROM pg_class WHERE relnamespace = to_regnamespace('access')
)
SELECT DISTINCT coalesce(rolname, 'PUBLIC'), object, privilege_type
  FROM granted CROSS JOIN aclexplode(acl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
 WHERE grantee <> owner ORDER BY 1, 2, 3;

-- name: tenants_tables
-- Of the control plane, those that are held to one tenant.
SELECT relname, relrowsecurity AND relforcerowsecurity, array(
        SELECT policyname || ' ' || permissive || ' FOR ' || cmd || ' TO ' || array_to_string(roles, ', ')
               || ' USING ' || coalesce(qual, '') || coalesce(' CHECK ' || with_check, '')
          FROM pg_policies WHERE schemaname = 'access' AND tablename = relname)
  FROM pg_class WHERE relnamespace = to_regnamespace('access') AND relname IN ('approvals', 'beneficiaries') ORDER BY 1;

-- name: inbox_grants
-- What others than the owner may do in the schema `inbox`.
WITH granted (object, owner, acl, part) AS (
    SELECT 'the schema inbox', nspowner, nspacl, NULL FROM pg_namespace WHERE nspname = 'inbox'
    UNION ALL
    SELECT 'inbox.' || relname, relowner, relacl, NULL FROM pg_class WHERE relnamespace = to_regnamespace('inbox')
    UNION ALL
    SELECT 'inbox.' || relname, relowner, attacl, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
     WHERE relnamespace = to_regnamespace('inbox')
)
SELECT DISTINCT coalesce(rolname, 'PUBLIC'), object, privilege_type || coalesce('(' || part || ')', '')
  FROM granted CROSS JOIN aclexplode(acl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
 WHERE grantee <> owner ORDER BY 1, 2, 3;

-- name: inbox_tables
SELECT relname, relrowsecurity, array(
        SELECT policyname || ' ' || permissive || ' FOR ' || cmd || ' TO ' || array_to_string(roles, ', ')
               || ' USING ' || coalesce(qual, '') || coalesce(' CHECK ' || with_check, '')
          FROM pg_policies WHERE schemaname = 'inbox' AND tablename = relname)
  FROM pg_class WHERE relnamespace = to_regnamespace('inbox') AND relkind = 'r' ORDER BY 1;

-- name: inbox_functions
SELECT proname, prosrc FROM pg_proc WHERE pronamespace = to_regnamespace('inbox') ORDER BY 1;
