"""google-cloud-secret-manager with transport="rest" on google-api-core: URL expansion, query flattening, AIP-193 errors
(case GW-E06).

Usage: google_rest.py PORT. Ends with an assertion that fails, or with nothing.
"""

import sys

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceRestTransport
from google.protobuf.field_mask_pb2 import FieldMask


# The class that google-api-core gives an error by its HTTP status, for each code of gRPC but UNAUTHENTICATED: there it would
# refresh the credentials, and anonymous ones cannot be.
CLASSES = {
    1: exceptions.Cancelled,
    2: exceptions.InternalServerError,
    3: exceptions.BadRequest,
    4: exceptions.GatewayTimeout,
    5: exceptions.NotFound,
    6: exceptions.Conflict,
    7: exceptions.Forbidden,
    8: exceptions.TooManyRequests,
    9: exceptions.BadRequest,
    10: exceptions.Conflict,
    11: exceptions.BadRequest,
    12: exceptions.MethodNotImplemented,
    13: exceptions.InternalServerError,
    14: exceptions.ServiceUnavailable,
    15: exceptions.InternalServerError,
}


def refused(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{call.__name__} was not refused with {kind.__name__}")


def errors(client, parent):
    """Class, message and details of what the upstream says, as the library reads them."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ASKED", "domain": "judge", "metadata": {"why": "test"}}
    for code, kind in CLASSES.items():
        error = refused(kind, client.get_secret, name=f"{parent}/secrets/code-{code}", retry=None)
        assert type(error) is kind, (code, error)
        assert error.message.endswith(f": asked for {code}"), error.message
        assert (error.reason, error.domain, error.metadata) == ("ASKED", "judge", {"why": "test"}), (code, error)
        assert info in error.details, (code, error.details)
        ids = [each["requestId"] for each in error.details if each["@type"] == "type.googleapis.com/google.rpc.RequestInfo"]
        assert len(ids) == 1 and ids[0] == error.response.headers["x-request-id"], (code, error.details)
    # What the edge itself refuses is read in the same way.
    long = {"parent": parent, "filter": "x" * 9_000}
    error = refused(exceptions.GoogleAPICallError, client.list_secrets, request=long, retry=None)
    assert (error.code, error.reason, error.domain) == (414, "TARGET_TOO_LONG", "gateway.workos.dev"), error


def main(port):
    transport = SecretManagerServiceRestTransport(
        host=f"127.0.0.1:{port}", credentials=AnonymousCredentials(), url_scheme="http"
    )
    client = secretmanager_v1.SecretManagerServiceClient(transport=transport)
    parent = "projects/python"
    automatic = {"automatic": {}}
    labels = {"team": "search", "odd": "ü/+% &="}
    secret = client.create_secret(
        parent=parent, secret_id="one", secret={"replication": automatic, "labels": labels, "ttl": {"seconds": 90, "nanos": 5}}
    )
    assert secret.name == f"{parent}/secrets/one" and dict(secret.labels) == labels, secret
    assert (secret.ttl.seconds, secret.ttl.microseconds) == (90, 0), secret.ttl
    data = bytes(range(256)) * 40
    version = client.add_secret_version(parent=secret.name, payload={"data": data})
    assert client.access_secret_version(name=version.name).payload.data == data
    changed = client.update_secret(secret={"name": secret.name, "labels": {}}, update_mask=FieldMask(paths=["labels"]))
    assert dict(changed.labels) == {}, changed
    for number in range(5):
        client.create_secret(parent=parent, secret_id=f"n{number}", secret={"replication": automatic})
    assert len(list(client.list_secrets(request={"parent": parent, "page_size": 2, "filter": "a:b AND c=\"d e\""}))) == 6
    missing = refused(exceptions.NotFound, client.get_secret, name=f"{parent}/secrets/none")
    assert missing.message.endswith("there is no such secret"), missing
    refused(exceptions.Conflict, client.create_secret, parent=parent, secret_id="one", secret={"replication": automatic})
    errors(client, parent)
    client.delete_secret(name=secret.name)
    refused(exceptions.NotFound, client.get_secret, name=secret.name)


if __name__ == "__main__":
    main(sys.argv[1])
