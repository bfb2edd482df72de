"""google-cloud-secret-manager with transport="rest" on google-api-core: URL expansion, query flattening, AIP-193 errors.

Usage: google_rest.py PORT. Ends with an assertion that fails, or with nothing.
"""

import sys

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceRestTransport
from google.protobuf.field_mask_pb2 import FieldMask


def refused(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{call.__name__} was not refused with {kind.__name__}")


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
    client.delete_secret(name=secret.name)
    refused(exceptions.NotFound, client.get_secret, name=secret.name)


if __name__ == "__main__":
    main(sys.argv[1])
