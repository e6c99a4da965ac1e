"""The audit: is this ledger, or this export of one, what its events say, and are the events what they were?

Four verdicts, each on its own (`verdicts`): integrity (the bytes are those that the Merkle tree commits to),
completeness (nothing that an auditor has seen before is gone or otherwise), accounting (the events obey the
ledger's laws), projections (what was derived from the events follows from them).

`verifier` is fed with stored events in order and keeps `tree`, `books`, `subjects` and `keys`. It shares no
code with what decides commands and writes rows; the one reader of events is the exception. `live` feeds it
from a database and compares every derived row (`rows`, `derived`); `folder` feeds it from an export.

Memory: 21 bytes an event (29 for a database: one byte counts what its stream holds, four say what ended it,
eight compare its stream's state, sixteen find its idempotency key again), and what every account, every open
hold and every transaction reversed in part needs. A million events take less than 30 MB.
"""
