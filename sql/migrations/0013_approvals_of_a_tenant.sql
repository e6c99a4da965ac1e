-- What waits for a second person is the tenant's own, also where a query forgets to ask whose it is.

-- For the owner, too: nobody else has to do with it.
ALTER TABLE access.approvals ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.approvals FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON access.approvals TO daybook_access
    USING (tenant = (SELECT current_setting('daybook.tenant', true)));
