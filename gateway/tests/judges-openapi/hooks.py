"""A further check of schemathesis: the edge refuses nothing that its own document allows.

positive_data_acceptance would want more than a document of types can say (a name that exists, a state that allows the step):
services may refuse with 400 what fits the schema. The edge may not: what it demands by the contract belongs into the document.
"""
import schemathesis
from schemathesis.core.failures import Failure


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
    for detail in error.get("details", []):
        if detail.get("domain") == "gateway.workos.dev":
            raise RefusedByEdge(case.operation.label, detail["reason"], error["message"])
