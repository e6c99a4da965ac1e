"""What a superuser does to the rows beside the events, and the verdict, event, table and column that tell."""

from __future__ import annotations

from tests.tamperings import SIZE, Tampering, delete, update

ROW_TAMPERINGS = (
    Tampering(
        "a posting's amount",
        update("postings", "amount = amount + 1", "seq = 16 AND leg = 0"),
        {"projections": 16},
        ("postings", "amount"),
    ),
    Tampering(
        "a posting's account",
        update("postings", "account_id = 9", "seq = 16 AND leg = 0"),
        {"projections": 16},
        ("postings", "account_id"),
    ),
    Tampering(
        "a posting's kind",
        update("postings", "kind = 1", "seq = 16 AND leg = 1"),
        {"projections": 16},
        ("postings", "kind"),
    ),
    Tampering(
        "a posting's moment",
        update("postings", "effective_at = effective_at - interval '1 us'", "seq = 16 AND leg = 1"),
        {"projections": 16},
        ("postings", "effective_at"),
    ),
    *(
        Tampering(
            f"a posting's counter of {column}",
            update("postings", f"{column} = {column} + 1", "seq = 9 AND leg = 2"),
            {"projections": 9},
            ("postings", column),
        )
        for column in ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    ),
    Tampering(
        "a posting is removed",
        delete("postings", "seq = 16 AND leg = 1"),
        {"projections": 16},
        ("postings", ""),
    ),
    Tampering(
        "a posting is added to an event",
        "INSERT INTO daybook.postings SELECT seq, 7, effective_at, 0, 0, 0, 0, 1, 9, 1, 2, 0"
        " FROM daybook.postings WHERE ledger_id = 1 AND seq = 16 AND leg = 0",
        {"projections": 16},
        ("postings", ""),
    ),
    Tampering(
        "a posting is added to no event",
        "INSERT INTO daybook.postings SELECT 99, 7, effective_at, 0, 0, 0, 0, 1, 9, 1, 2, 0"
        " FROM daybook.postings WHERE ledger_id = 1 AND seq = 16 AND leg = 0",
        {"projections": 99},
        ("postings", ""),
    ),
    *(
        Tampering(
            f"a balance's {column}",
            update("balances", f"{column} = {value}", "account_id = 7"),
            {"projections": 17},
            ("balances", column),
        )
        for column, value in (
            ("debits_posted", "151"),
            ("credits_pending", "1"),
            ("version", "3"),
            ("last_seq", "16"),
            ("min_available", "0"),
            ("debit_normal", "true"),
        )
    ),
    Tampering(
        "a balance is removed",
        delete("balances", "account_id = 7"),
        {"projections": 17},
        ("balances", ""),
    ),
    Tampering(
        "a stream's state",
        update("streams", "state = replace(state, '250', '400')", "stream = 'transaction:16'"),
        {"projections": 18},
        ("streams", "state"),
    ),
    Tampering(
        "a voided hold's stream is pending again",
        update("streams", "state = replace(state, 'voided', 'pending')", "stream = 'transaction:11'"),
        {"projections": 34},
        ("streams", "state"),
    ),
    Tampering(
        "a stream's state is nested deeper than can be read",
        update("streams", "state = repeat('[', 200000)", "stream = 'transaction:16'"),
        {"projections": 18},
        ("streams", "state"),
    ),
    Tampering(
        "a transaction's stream falls due",
        update("streams", "due_at = '2030-01-01'", "stream = 'transaction:16'"),
        {"projections": 18},
        ("streams", "due_at"),
    ),
    Tampering(
        "a stream has another's number, spelled otherwise",
        'INSERT INTO daybook.streams SELECT (jsonb_populate_record(s, \'{"stream": "transaction:016"}\')).*'
        " FROM daybook.streams s WHERE ledger_id = 1 AND stream = 'transaction:16'",
        {"projections": None},
        ("streams", ""),
    ),
    Tampering(
        "a stream's name has thousands of digits",
        update("streams", "stream = 'transaction:' || repeat('9', 5000)", "stream = 'transaction:16'"),
        {"projections": 18},
        ("streams", ""),
    ),
    Tampering(
        "a stream is removed",
        delete("streams", "stream = 'transaction:16'"),
        {"projections": 18},
        ("streams", ""),
    ),
    Tampering(
        "a stream's event is removed",
        delete("event_streams", "stream = 'transaction:16' AND version = 1"),
        {"projections": 17},
        ("event_streams", ""),
    ),
    Tampering(
        "an ending is removed, so that a hold could end again",
        delete("endings", "stream = 'transaction:11'"),
        {"projections": 12},
        ("endings", ""),
    ),
    Tampering(
        "an idempotency key is removed, so that it could have a second effect",
        delete("idempotency_keys", "key = 'deposit-4'"),
        {"projections": 5},
        ("idempotency_keys", ""),
    ),
    Tampering(
        "an idempotency key answers with a refusal, though it had its effect",
        update("idempotency_keys", "rejections = '[]'", "key = 'deposit-4'"),
        {"projections": 5},
        ("idempotency_keys", "events"),
    ),
    Tampering(
        "an idempotency key stands for another request",
        update("idempotency_keys", "fingerprint = sha256('')", "key = 'batch'"),
        {"projections": 24},
        ("idempotency_keys", "fingerprint"),
    ),
    Tampering(
        "a hold's expiry",
        update("holds", "expires_at = expires_at + interval '1 day'", "seq = 32"),
        {"projections": 32},
        ("holds", ""),
    ),
    *(
        Tampering(
            f"a hold expires at {expires_at}",
            update("holds", f"expires_at = '{expires_at}'", "seq = 32"),
            {"projections": 32},
            ("holds", ""),
        )
        for expires_at in ("infinity", "-infinity")
    ),
    Tampering(
        "a hold is forgotten",
        delete("holds", "seq = 32"),
        {"projections": 32},
        ("holds", ""),
    ),
    Tampering(
        "an account's terms",
        update("accounts", """terms = '{"type":"liability"}'""", "account_id = 3"),
        {"projections": 3},
        ("accounts", "terms"),
    ),
    Tampering(
        "an account's address",
        update("accounts", "address = 'customers:77'", "account_id = 3"),
        {"projections": 3},
        ("accounts", "address"),
    ),
    Tampering(
        "an account is open again",
        update("accounts", "closed_seq = NULL", "account_id = 8"),
        {"projections": 22},
        ("accounts", "closed_seq"),
    ),
    Tampering(
        "an asset's code",
        update("assets", "asset = 'EUR/3'", "asset_id = 2"),
        {"projections": 30},
        ("assets", "asset"),
    ),
    Tampering(
        "a closed period ends earlier",
        update("closed_periods", "ends_at = starts_at", "period = '2021'"),
        {"projections": 36},
        ("closed_periods", "ends_at"),
    ),
    Tampering(
        "a closed period is open",
        delete("closed_periods", "period = '2021'"),
        {"projections": 36},
        ("closed_periods", ""),
    ),
    *(
        Tampering(
            f"an event's column {column}",
            update("events", f"{column} = {value}", "seq = 16"),
            {"projections": 16},
            ("events", column),
        )
        for column, value in (
            ("effective_at", "effective_at - interval '1 day'"),
            ("recorded_at", "recorded_at - interval '1 us'"),
            ("legs", "3"),
            ("type", "'hold_voided'"),
        )
    ),
    *(
        Tampering(
            f"the head's {column}",
            update("heads", f"{column} = {value}", "true"),
            {"projections": SIZE},
            ("heads", column),
        )
        for column, value in (
            ("incarnation", "2"),
            ("accounts", "11"),
            ("chart_seq", "1"),
            ("next_expiry", "NULL"),
            ("recorded_at", "recorded_at + interval '1 day'"),
        )
    ),
    Tampering(
        "the head's frontier, from which the next root would be made",
        update("heads", "frontier = sha256('x') || substr(frontier, 33)", "true"),
        {"integrity": None},
    ),
    Tampering(
        "the head's root",
        update("heads", "root = sha256('x')", "true"),
        {"integrity": None},
    ),
    Tampering("the head is removed", delete("heads", "true"), {"integrity": None}),
    Tampering(
        "the ledger is as if it had never been opened",
        update("ledgers", "opened_at = NULL", "true"),
        {"projections": SIZE},
        ("ledgers", "opened_at"),
    ),
    Tampering(
        "the ledger's time zone",
        update("ledgers", "time_zone = 'Asia/Tokyo'", "true"),
        {"projections": SIZE},
        ("ledgers", "time_zone"),
    ),
)
