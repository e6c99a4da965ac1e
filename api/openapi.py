"""The OpenAPI 3.1 document, made from the table of operations and the structs themselves."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any

import msgspec

from api.access.approvals import ApprovalView
from api.examples import EXAMPLES
from api.handlers import BatchResults, Ready
from api.operation import Operation
from api.operations import OPERATIONS
from api.problems import CODES, RETRY_AFTER_SECONDS, Problem, make
from ledger.chart import MAX_AMOUNT
from ledger.commands import Transaction
from ledger.events import Event

_REF = "#/components/schemas/{name}"
# No group of zeros at the beginning; less than 256 of width.
_TILE = (
    r"^((x00[1-9]|x0[1-9][0-9]|x[1-9][0-9]{2})/(x[0-9]{3}/){0,4})?[0-9]{3}"
    r"(\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$"
)
_PATH_PARAMETERS = {
    "ledger": ("The ledger's name.", {"type": "string", "pattern": r"^[a-z0-9][a-z0-9_\-]{0,62}$"}, "main"),
    "address": (
        "The account's address.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+(:[A-Za-z0-9_.\-]+)*$", "maxLength": 255},
        "customers:42:wallet",
    ),
    "level": ("The tile's level.", {"type": "integer", "minimum": 0, "maximum": 63}, 0),
    "tile": (
        "The tile's number in groups of three digits, and `.p/` with its width if it is less than 256.",
        {"type": "string", "pattern": _TILE},
        "x001/x234/067",
    ),
    "projection": (
        "The projection's name.",
        {"type": "string", "pattern": r"^[a-z][a-z_]{0,62}$"},
        "tiles",
    ),
    "file": (
        "The path of a file in the folder, as the manifest has it.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-/]{1,200}$"},
        "manifest.json",
    ),
    "key": (
        "The key's id.",
        {"type": "string", "format": "uuid"},
        "0d0d8f6e-3c0e-4b5e-8d39-0b2a9a1a7c51",
    ),
    "tenant": ("The tenant's name.", {"type": "string", "pattern": r"^[a-z0-9][a-z0-9_\-]{0,62}$"}, "acme"),
    "approval": (
        "The approval's id.",
        {"type": "string", "format": "uuid"},
        "2f7c0e4e-9a53-4d62-8f10-7b0b4f6b3a10",
    ),
    "job": (
        "The job's id.",
        {"type": "string", "format": "uuid"},
        "6d1c4f0e-53d7-4f0b-9c5e-0f4b6a1e2d3c",
    ),
    "subscription": (
        "The subscription's id.",
        {"type": "string", "format": "uuid"},
        "0f6f0c1e-5f34-4d0b-8f0e-7f6f5f4f3f2f",
    ),
    "provider": (
        "Who sends the webhook.",
        {"type": "string", "pattern": r"^[a-z][a-z_]{0,30}$"},
        "stripe",
    ),
    "endpoint": (
        "The endpoint's id.",
        {"type": "string", "format": "uuid"},
        "7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10",
    ),
    "number": ("The webhook's number.", {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, 17),
    "order": (
        "The order's id.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 64},
        "order-1842",
    ),
    "session": (
        "The id of the Checkout session at Stripe.",
        {"type": "string", "pattern": r"^cs_[A-Za-z0-9_]+$", "maxLength": 200},
        "cs_test_a1B2",
    ),
    "stripe_subscription": (
        "The id of the subscription at Stripe.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 200},
        "sub_1",
    ),
    "period": (
        "A year, quarter, month or day of the ledger's time zone.",
        {"type": "string", "pattern": r"^[1-9][0-9]{3}(-Q[1-4]|-[0-9]{2}(-[0-9]{2})?)?$"},
        "2026-10",
    ),
    "programme": (
        "The programme's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 64},
        "relief",
    ),
    "kredit_tenant": (
        "A tenant of Kredit's, by its own id.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 64},
        "cm7tenant",
    ),
    "verification": (
        "The verification's session.",
        {"type": "string", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "0d5b8f9e-41a7-8c33-a2b4-6f1d2c3e4a5b",
    ),
    "request": (
        "The request's id, as Kredit gave it.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 128},
        "req_1842",
    ),
    "beneficiary": (
        "Our name for the beneficiary.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 64},
        "B-7",
    ),
    "voucher": (
        "The voucher's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]+$", "maxLength": 64},
        "V-1042",
    ),
    "run": (
        "The reconciliation's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
        "stripe-2026-11-20",
    ),
    "item": (
        "The item: its page and its number in it.",
        {"type": "string", "pattern": r"^[1-9][0-9]{0,8}\.[1-9][0-9]{0,2}$"},
        "1.1",
    ),
    "side": ("Who is asked.", {"type": "string", "enum": ["stripe", "buffr"]}, "stripe"),
    "loan": ("The loan's name.", {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"}, "L-1042"),
    "borrower": ("The borrower's name.", {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"}, "B-7"),
    "loan_payment": (
        "The payment's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
        "P-88",
    ),
    "virtual_account": (
        "The virtual account's number.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
        "VA-0042",
    ),
    "loan_provider": (
        "The provider's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
        "acme",
    ),
    "provider_invoice": (
        "The invoice's name.",
        {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
        "2026-06",
    ),
    "seq": (
        "The seq of the event, that of a transaction where it is one.",
        {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
        3,
    ),
}
_STATUS_WORDS = {
    400: "Malformed request",
    401: "Who are you?",
    402: "Not paid",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
} | {
    413: "Body too large",
    415: "Not JSON",
    429: "Too often",
    422: "Refused",
    500: "Defect",
    502: "Somebody else fails",
    503: "Not now",
}


def document() -> dict[str, Any]:
    """The whole document."""
    structs = [t for o in OPERATIONS for t in (o.body, o.answer, o.told) if t not in (None, bytes)]
    _, schemas = msgspec.json.schema_components([*structs, Problem, Event], ref_template=_REF)
    schemas = _ecma(schemas)
    for name in ("EventView", "InclusionProof"):
        schemas[name]["properties"]["body"] = {"$ref": _REF.format(name="Event")}
    schemas["Problem"]["properties"]["code"] = {"type": "string", "enum": list(CODES)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Daybook",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": (
                "A double-entry ledger. Amounts are integers of minor units of an asset (`USD/2`: cents); "
                "moments are RFC 3339. Lists are paged: `next` of a page is `after` of the following one. "
                "Every answer carries X-Request-Id; every problem is an RFC 9457 document with a code of "
                "`/v1/rejections`. A body with a member that is not in its schema is refused."
            ),
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": _HEADERS,
            "parameters": _HEADER_PARAMETERS,
            "securitySchemes": _SECURITY,
        },
    }


_SECURITY: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`daybook_...`), or a JWT where the service accepts them.",
    },
}
_HEADERS: dict[str, Any] = {
    "RateLimit": {
        "description": "What remains of each limit (`r`), and for how many seconds (`t`).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "Each limit's quota (`q`) and window in seconds (`w`).",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "How to say who you are: `Signature` of a webhook, as its provider's scheme has it.",
        "schema": {"enum": ["Bearer", "Signature"]},
    },
    "X-Request-Id": {
        "description": "The request's id: the client's own, which stands in the event too, or one made here.",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "`true` on the first answer to this key, given again.",
        "schema": {"const": "true"},
    },
    "Location": {"description": "Where to read it.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}
_HEADER_PARAMETERS: dict[str, Any] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes the request safe to repeat, for ever; one ledger's keys are its own. Bare or quoted, also "
            "as X-Idempotency-Key. The same key with another request is refused."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]([ -~]*[!-~])?$"},
        "example": "order-1842",
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Of a feed: go on beyond this seq, whatever `after` says.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_AMOUNT},
    },
    "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    },
}


_TEXTS = {"pattern": lambda text: re.sub(r"\\Z$", "$", text), "description": cleandoc}


def _ecma(schema: Any) -> Any:
    """Python's regular expressions as JSON Schema wants them, `$` for the end; docstrings without margins."""
    if isinstance(schema, dict):
        return {
            name: _TEXTS[name](value) if name in _TEXTS and isinstance(value, str) else _ecma(value)
            for name, value in schema.items()
        }
    return [_ecma(value) for value in schema] if isinstance(schema, list) else schema


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-scope": operation.scope,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.scope != "none":
        made["security"] = [{"bearer": [operation.scope]}]
    if operation.description:
        made["description"] = operation.description
    if operation.body is not None:
        made["requestBody"] = {
            "required": not operation.optional_body,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(name=operation.body.__name__)},
                    "example": operation.example,
                }
            },
        }
    elif operation.uploads:
        file = {"schema": {"type": "string", "format": "binary"}}
        content = {media.decode(): file for media in operation.uploads}
        made["requestBody"] = {"required": True, "description": "The file, as it is.", "content": content}
    elif operation.signed:
        told = operation.told
        shape = {"type": "object"} if told is None else {"$ref": _REF.format(name=told.__name__)}
        made["requestBody"] = {
            "required": True,
            "description": "What the provider sends and signs, as it is.",
            "content": {"application/json": {"schema": shape, "example": operation.example}},
        }
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name in re.findall(r"\{(\w+)\}", operation.path):
        description, schema, example = _PATH_PARAMETERS[name]
        parameters.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": schema,
                "example": example,
            }
        )
    components = msgspec.json.schema_components([operation.query], ref_template=_REF)[1]
    query = components[operation.query.__name__]
    for name, schema in _ecma(query["properties"]).items():
        schema = _present(schema)
        description = schema.pop("description", "")
        parameter = {"name": name, "in": "query", "schema": schema}
        if name in query.get("required", ()):
            parameter["required"] = True
        if description:
            parameter["description"] = description
        if schema.get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}
        parameters.append(parameter)
    if operation.keyed:
        parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
    if operation.feed:
        parameters.append({"$ref": "#/components/parameters/Last-Event-ID"})
    parameters.append({"$ref": "#/components/parameters/X-Request-Id"})
    return parameters


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional parameter when it is there: never null."""
    if schema.get("default", ...) is None:
        del schema["default"]
    given = [one for one in schema.pop("anyOf", ()) if one != {"type": "null"}]
    if len(given) > 1:
        description = next((one.pop("description") for one in given if "description" in one), "")
        return schema | {"anyOf": given, "description": description}
    return schema | (given[0] if given else {})


def _responses(operation: Operation) -> dict[str, Any]:
    schema = (
        {"$ref": _REF.format(name=operation.answer.__name__)}
        if operation.answer is not bytes
        else {"type": "string"}
    )
    headers = ["X-Request-Id"]
    if operation.keyed or operation.signed:
        headers.append("Idempotency-Replayed")
    if operation.location is not None:
        headers.append("Location")
    success = _response("Done", schema, operation.answer_example, headers, operation.media.decode())
    responses = {str(operation.status): success}
    if operation.feed:
        event = operation.answer_example["events"][0]
        example = f"id: {event['seq']}\ndata: {msgspec.json.encode(event).decode()}\n\n"
        success["content"]["text/event-stream"] = {"schema": {"type": "string"}, "example": example}
    if operation.body is Transaction:
        responses["200"] = _response("The entry that it would be (`preview`)", schema, None, headers[:1])
    elif operation.answer is BatchResults:
        responses["200"] = _response(
            "Independent: one result for each", schema, operation.answer_example, headers[:1]
        )
    elif operation.answer is Ready:
        responses["503"] = _response("Down", schema, {"status": "down", "reasons": ["..."]}, headers)
    if "approval_required" in operation.codes:
        waiting = {"$ref": _REF.format(name=ApprovalView.__name__)}
        responses["202"] = _response(
            "Waits for a second person's approval",
            waiting,
            EXAMPLES["list_approvals"]["answer"]["approvals"][0],
            [*headers[:1], "Idempotency-Replayed", "Location"],
        ) | {"x-codes": ["approval_required"]}
    by_status: dict[int, list[str]] = {}
    for code in CODES:
        if code in operation.codes and CODES[code].status >= 400:
            by_status.setdefault(CODES[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem_response(status, codes, operation)
    return responses


def _response(
    description: str,
    schema: dict[str, Any],
    example: Any,
    headers: list[str],
    media: str = "application/json",
) -> dict[str, Any]:
    content = {"schema": schema} | ({"example": example} if example is not None else {})
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {media: content},
    }


def _problem_response(status: int, codes: list[str], operation: Operation) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    if operation.keyed and status in (404, 409, 422):
        headers.append("Idempotency-Replayed")
    if status == 429 or any(code in RETRY_AFTER_SECONDS for code in codes):
        headers.append("Retry-After")
    if status == 401:
        headers.append("WWW-Authenticate")
    return {
        "description": _STATUS_WORDS[status] + ": " + ", ".join(f"`{code}`" for code in codes),
        "x-codes": codes,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {
            "application/problem+json": {
                "schema": {"$ref": _REF.format(name="Problem")},
                "examples": {code: {"value": msgspec.to_builtins(make(code))} for code in codes},
            }
        },
    }
