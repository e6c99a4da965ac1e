"""What Schemathesis is told beside the document: checks of our own, and ids of what is really there.

Loaded by `tests/schemathesis.toml` into the process of Schemathesis, which knows the service only by its
document and its answers.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import time
from typing import Any
from urllib.parse import unquote

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

EXAMPLE_KEY = "order-1842"
SECRET = os.environ.get("DAYBOOK_TEST_SECRET", "")
KREDIT_SECRET = os.environ.get("DAYBOOK_TEST_KREDIT_SECRET", "")
IDS: dict[str, str] = json.loads(os.environ.get("DAYBOOK_TEST_IDS", "{}"))

# What a request that fits its schema may still be told with 400: rules between its members, and those of the
# calendar, of texts and of money that JSON Schema has no word for. Each is a sentence of the service.
BEYOND_A_SCHEMA = re.compile(
    "|".join(
        (
            # between members
            r"a condition needs `min`, `max` or `version`",
            r"`amounts` are all zero",
            r"`asset` is missing: an amount is of an asset",
            r"`known_at` needs a period: `from`, `to` or both",
            r"`after` is of a statement over a period",
            r"`from` is beyond `to`",
            r"`\w+` (?:lies before|is later than) `\w+`",
            r"The tree of size \d+ ends before event \d+",
            r"`secret` must be |`secret` is missing: this provider",  # each scheme has its own form
            r"`provider` is not one that Daybook knows|`settings` do not fit \w+: ",
            r"`payees` names one twice|Which ledger\?",
            r"`result` is that of a session|`rejection_reason` is for|a payment is named by `request`",
            r"`amount_myr` is not what|`event` is not subscription|`billing_type` is not first",
            r"`daily_at` or `every_minutes` says when|`transaction` or `explanation` says how",
            r"either `amount` or both `credit` and `debit`|`from` is in the future|unknown encoding",
            r"`cost` needs its `asset`|`cost` is for what was bought|are for credits that are given",
            r"`reason` says why|`amount` is zero|a change of a hold needs|`tax` is a part of `amount`",
            r"`order` or `payment` must say what was bought",
            r"`claim` and `keepCredits` exclude|`expected` is what policy|`min` is more than `max`",
            r"An independent batch has no key of its own",
            r"The key of the header and the key of the body differ",
            r"uses a capture twice",
            r"`timeout_seconds` needs `pending`",
            r"an atomic batch has one key, in the header",
            r"`types` names \w+, which is no type of event",  # a list of words between commas
            r"`interval` is of a subscription|`savePaymentMethod` is for a payment",
            r"`(?:source|payment)` is missing: |`source_asset` is for a source in another asset",
            # the terms of loans
            r"`(?:grace|fee|servicing_rate|costs)` (?:leaves|is|are) ",
            r"`(?:name|steps)` of a waterfall|`buckets` do not rise|`from_days` of `provisioning`",
            r"`order` names each part once|`assignee` or `status` is needed",
            # credit providers
            r"`decision` (?:approved needs|rejected has)|`(?:minimumLoanAmount|processingFee)` is more than",
            r"`interestRateRange` ends before|`leads` names one twice|is not that of the path",
            r"`types` of a `provider` are|has more than ten decimals",
            # the calendar: a month 13, a year before 1000, a leap second, a time zone
            r"is not in the calendar",
            r"is neither a day|is neither a date",
            r"Invalid RFC3339 encoded datetime|is outside the years|`expires_at` is not in the future",
            r"This is not an IANA time zone",
            # texts: Unicode
            r"contains the NUL character|is not in Unicode normal form|no NFC|NFC",
            # money is never a float: JSON Schema takes 5.0 for an integer
            r"Expected `int(?: \| (?:str|null))*`, got `float`",
            r"`[\w.\[\]]+` -?\d+ is not between",  # a number written as text
            # cursors that no page has given
            r"is not the `next` of a",
            # addresses of webhooks: a name that resolves, a port that may be used
            r"Of the URL, ",
        )
    )
)


@schemathesis.hook
def before_call(ctx: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Put what is really there in the place of the document's examples, which nobody has.

    And a key of its own where every command would have the example's: all but the first would be refused.
    Nor may the run end the API key that it asks with.
    """
    operation = case.operation.definition.raw["operationId"]
    for parameter in case.operation.path_parameters:
        name = parameter.name
        there = IDS.get(f"{operation}.{name}", IDS.get(name))
        given = unquote(str(case.path_parameters.get(name)))
        if there is not None and given in (str(parameter.definition.get("example")), IDS.get(f"own_{name}")):
            case.path_parameters[name] = there
    if operation.startswith(("receive_webhook", "receive_buffr")):
        kwargs["auth"] = _sign
    if operation in ("create_kredit_tenant", "request_kredit_payment"):
        kwargs["auth"] = _sign_as_kredit
    asked = case.operation.definition.raw.get("requestBody")
    shown = asked["content"].get("application/json", {}).get("example") if asked else None
    if isinstance(case.body, dict) and isinstance(shown, dict):
        for name, value in shown.items():
            if f"{operation}.{name}" in IDS and case.body.get(name) == value:
                case.body[name] = IDS[f"{operation}.{name}"]
    if "Idempotency-Key" in case.headers:
        if isinstance(case.body, dict) and case.body.get("atomic", True) is False:
            del case.headers["Idempotency-Key"]  # each transaction of it may carry one
        elif case.headers["Idempotency-Key"] == EXAMPLE_KEY:
            case.headers["Idempotency-Key"] = f"order-{case.id}"


def _sign(request: Any) -> Any:
    """What a provider does, or every webhook would be refused before anybody reads it."""
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    request.headers["x-webhook-signature"] = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    return request


def _sign_as_kredit(request: Any) -> Any:
    """The same for Kredit, which signs the time too."""
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    stamp = str(int(time.time() * 1_000))
    signed = f"{stamp}.".encode() + body
    request.headers["x-kredit-timestamp"] = stamp
    request.headers["x-kredit-signature"] = hmac.new(KREDIT_SECRET.encode(), signed, "sha256").hexdigest()
    return request


@schemathesis.check
def documented_problems(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A problem has a code that the document names for this operation and status."""
    if response.status_code < 400:
        return
    problem = response.json()
    if case.method.upper() != case.operation.method.upper():
        return  # of another operation, or of none
    declared = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    if "x-codes" not in declared:  # /health/ready says with any status how it is
        return
    assert problem["code"] in declared["x-codes"], problem
    assert problem["status"] == response.status_code
    if problem["status"] == 503:
        assert problem["code"] == "projection_behind", problem
        assert problem["evidence"]["min_seq"] > problem["evidence"]["checkpoint"]


@schemathesis.check
def rules_beyond_a_schema(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """What fits its schema is refused as malformed only for what no schema can say."""
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    if problem["code"] == "invalid_request":
        found = BEYOND_A_SCHEMA.search(problem["detail"])
        assert found, f"The document allows what the service calls malformed: {problem['detail']}"


@schemathesis.check
def problems_say_what_is_wrong(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A malformed request is told so in words."""
    if response.status_code == 400 and response.json()["code"] == "invalid_request":
        assert response.json()["detail"]
