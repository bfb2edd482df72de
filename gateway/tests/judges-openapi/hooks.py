"""A further check of schemathesis: the edge refuses nothing that its own document allows.

It stands for positive_data_acceptance, which wants more than a document of types can say: services may refuse with 400 what fits
the schema (a name that names nothing, a token of another list). The edge may not: what it demands belongs into the document.

allow_header_conformance is off: GET `/documents/0:attachFile` is the document named `0:attachFile` (gateway.md 4.2: verbs are tried
first, then the whole segment), so `Allow` rightly lists GET beside the POST of `:attachFile`. A document cannot say so.
"""
import os

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import negative_data_rejection

# Known findings: name -> what its message holds. One that is not met any more must go.
KNOWN = {}


class RefusedByEdge(Failure):
    """The document allows what the edge refuses."""

    def __init__(self, operation, reason, message):
        super().__init__(operation=operation, title=f"Refused by the edge although documented: {reason}", message=message)


@schemathesis.check
def accepted_by_edge(ctx, response, case):
    mode = case.meta.generation.mode if case.meta else None
    if mode is None or not mode.is_positive or response.status_code < 400:
        return
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return
    if all(detail.get("domain") != "gateway.workos.dev" for detail in error.get("details", [])):
        return
    for name, part in KNOWN.items():
        if part in error["message"]:
            with open(os.environ["WORKOS_SEEN"], "a") as seen:
                seen.write(name + "\n")
            return
    raise RefusedByEdge(case.operation.label, error["status"], error["message"])


@schemathesis.check
def refused_as_documented(ctx, response, case):
    """negative_data_rejection, but for three spellings that ProtoJSON takes beside the canonical one, which the document names alone:
    null for a field that is not set, and a number for a 64-bit integer or an enum (gateway.md 4.3)."""
    if isinstance(case.body, dict) and is_respelled(case.body, numbers(case.operation.schema.raw_schema)):
        return None
    return negative_data_rejection(ctx, response, case)


def numbers(document):
    """Names of the fields that are 64-bit integers or enums."""
    schemas = document["components"]["schemas"]
    enums = {f"#/components/schemas/{name}" for name, schema in schemas.items() if "enum" in schema}

    def is_number(field):
        said = [field, field.get("items", {}), *field.get("allOf", [])]
        return any(each.get("format") in ("int64", "uint64") or "enum" in each or each.get("$ref") in enums for each in said)

    parts = [part.get("properties", {}) for part in schemas.values()]
    return {name for fields in parts for name, field in fields.items() if is_number(field)}


def is_respelled(value, names, name=None):
    if isinstance(value, dict):
        return any(is_respelled(each, names, name) for name, each in value.items())
    if isinstance(value, list):
        return any(is_respelled(each, names, name) for each in value)
    return value is None or (name in names and type(value) is int)
