"""Authlib and joserfc, from Python: code with PKCE, ID token with a second opinion on its signature, refresh, introspection, revocation, client credentials,
device code, token exchange."""
import json
import os
import subprocess
import time

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

world = json.loads(os.environ["WORLD"])
checks = 0


def check(condition, what):
    global checks
    checks += 1
    assert condition, what


def browse(url):
    told = subprocess.run([*world["browser"], world["cookies"], url, *world["person"]], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


server = requests.get(f"{world['issuer']}/.well-known/openid-configuration").json()
keys = KeySet.import_key_set(requests.get(server["jwks_uri"]).json())
back = "https://app.example/cb"
for name, method, algorithm in [("web", "client_secret_basic", "RS256"), ("post", "client_secret_post", "ES256"), ("native", "none", "RS256")]:
    app = world[name]
    session = OAuth2Session(
        app["id"], app["secret"] or None, scope="openid email offline_access", redirect_uri=back, token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method, code_challenge_method="S256")
    verifier = os.urandom(36).hex()
    url, state = session.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, nonce="n-1")
    token = session.fetch_token(server["token_endpoint"], authorization_response=browse(url), code_verifier=verifier, state=state)
    read = jwt.decode(token["id_token"], keys, algorithms=[algorithm])
    check(read.header["alg"] == algorithm and read.claims["aud"] == app["id"] and read.claims["nonce"] == "n-1", "the ID token")
    access = jwt.decode(token["access_token"], keys, algorithms=["ES256"])
    check(access.header["typ"] == "at+jwt" and access.claims["sub"] == read.claims["sub"], "the access token (RFC 9068)")
    check(session.get(server["userinfo_endpoint"]).json()["email"] == world["person"][0], "userinfo")
    fresh = session.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
    check(fresh["refresh_token"] != token["refresh_token"], "rotated")
    if method != "none":
        check(session.introspect_token(server["introspection_endpoint"], token=fresh["access_token"]).json()["active"] is True, "active")
    check(session.revoke_token(server["revocation_endpoint"], token=fresh["refresh_token"]).status_code == 200, "revoked")
    try:
        session.refresh_token(server["token_endpoint"], refresh_token=fresh["refresh_token"])
        raise AssertionError("a revoked token was taken")
    except OAuthError as error:
        check(error.error == "invalid_grant", "it is dead")

machine = OAuth2Session(world["machine"]["id"], world["machine"]["secret"], scope="organization:read")
machine.fetch_token(server["token_endpoint"], grant_type="client_credentials")
check(machine.get(f"{world['issuer']}/v1/{world['person'][2]}").status_code == 200, "a machine calls the API")

asked = requests.post(server["device_authorization_endpoint"], data={"client_id": world["native"]["id"], "scope": "openid"}).json()
device = OAuth2Session(world["native"]["id"], token_endpoint_auth_method="none")
grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": asked["device_code"]}
try:
    device.fetch_token(server["token_endpoint"], **grant)
    raise AssertionError("nobody has decided")
except OAuthError as error:
    check(error.error == "authorization_pending", "it waits")
browse(asked["verification_uri_complete"])
time.sleep(asked["interval"] + 0.1)
check(device.fetch_token(server["token_endpoint"], **grant)["id_token"], "device code")
print(f"{checks} checks")
