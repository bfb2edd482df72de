"""Starts a platform, registers applications as its owner and lets foreign clients sign in with them, each on its own. What must hold: every judge ends
well. Usage: judge.py ROOT BIN JUDGES [NAME...]"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from base64 import urlsafe_b64encode
from hashlib import sha256

HERE = pathlib.Path(__file__).resolve().parent
JUDGES = {
    "oauth4webapi": ["node", "oauth4webapi.mjs"],
    "openid-client": ["node", "openid_client.mjs"],
    "authlib": ["python", "authlib_judge.py"],
    "oidc-provider": ["node", "oidc_provider.mjs"],
    "pyotp": ["python", "pyotp_judge.py"],
    "signin": ["node", "signin.mjs"],
    "pages": ["python", "pages.py"],
}
# Fewer checks than these, and a judge has left something out.
LEAST = {"oauth4webapi": 17, "openid-client": 15, "authlib": 23, "oidc-provider": 100, "pyotp": 21, "signin": 2, "pages": 100}
RATES = ("address", "read", "write", "heavy", "credential", "begin")
EMAIL, PASSWORD = "ada@example.com", "four lighthouses by the sea"
OPERATORS = "organizations/00000000000000000000000000"


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@contextlib.contextmanager
def platform(workos, folder, upstream):
    """Its public address, while it runs. It believes an identity provider at port `upstream` of this machine."""
    port = free_port()
    url = f"http://localhost:{port}"
    settings = [f"gateway.listen=127.0.0.1:{port}", f"public_url={url}", "admin.listen=127.0.0.1:0", f'auth.private_hosts=["localhost:{upstream}"]', *(f"gateway.rate_{rate}=1000000" for rate in RATES)]
    words = [workos, *(word for setting in settings for word in ("--set", setting)), "up"]
    with open(folder / "up.log", "wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 180
        while not re.search(r"OpenAPI +http://", (folder / "up.log").read_text()):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"judges-oauth: the platform does not start: {(folder / 'up.log').read_text()[-800:]}")
            time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(url, body, token=None, kind="application/json"):
    data = json.dumps(body).encode() if kind == "application/json" else urllib.parse.urlencode(body).encode()
    headers = {"content-type": kind} | ({"authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)


def owner(url, folder):
    """Makes the first owner; gives his organization."""
    link = (folder / ".workos/data/auth/bootstrap-link").read_text().strip()
    made = ask(f"{url}/v1/bootstrap:complete", {
        "code": link.split("#")[1], "email": EMAIL, "displayName": "Ada", "password": PASSWORD, "organizationDisplayName": "Harbor Office"})
    return made["organization"]["name"]


def sign_in(url, organization):
    """The owner's access token in one of his organizations."""
    verifier = urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    redirect = "http://127.0.0.1:9/callback"
    step = ask(f"{url}/v1/login:start", {
        "clientId": "workos-cli", "redirectUri": redirect, "codeChallengeMethod": "S256",
        "codeChallenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()})
    step = ask(f"{url}/v1/login:continue", {"flow": step["flow"], "password": {"email": EMAIL, "password": PASSWORD}})
    step = ask(f"{url}/v1/login:continue", {"flow": step["flow"], "organization": organization})
    tokens = ask(f"{url}/oauth2/token", {
        "grant_type": "authorization_code", "client_id": "workos-cli", "code": step["done"]["code"], "redirect_uri": redirect,
        "code_verifier": verifier}, kind="application/x-www-form-urlencoded")
    return tokens["access_token"]


def register(url, token, organization, **client):
    made = ask(f"{url}/v1/{organization}/oauthClients", client, token)
    return {"id": made["name"].rsplit("/", 1)[1], "secret": made.get("clientSecret", "")}


def follow(page, url, token, organization):
    """Runs the request that docs/signin.md tells to send, as it stands there but for the address."""
    command = next(block for block in re.findall(r"```sh\n(.*?)```", page, re.S) if "/oauthClients" in block)
    environment = {**os.environ, "TOKEN": token, "ORGANIZATION": organization.split("/")[1]}
    words = ["sh", "-euc", command.replace("http://localhost:8080", url)]
    made = json.loads(subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout)
    return {"id": made["name"].rsplit("/", 1)[1], "secret": made["clientSecret"]}


def main(root, bin_, judges, names):
    unknown = [name for name in names if name not in JUDGES]
    if unknown:
        sys.exit(f"judges-oauth: there is no judge {unknown}; there are {', '.join(JUDGES)}")
    with tempfile.TemporaryDirectory(prefix="workos-judges-oauth-") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        port = free_port()
        url = stack.enter_context(platform(f"{bin_}/workos", folder, port))
        organization = owner(url, folder)
        token = sign_in(url, organization)
        scopes = ["openid", "profile", "email", "offline_access", "organization:read"]
        back = {"redirectUris": ["https://app.example/cb"], "postLogoutRedirectUris": ["https://app.example/bye"], "scopes": scopes}
        page = (pathlib.Path(root) / "docs/signin.md").read_text()
        told = follow(page, url, token, organization)
        machine = register(url, token, organization, displayName="Backend", kind="MACHINE", role="VIEWER", scopes=["organization:read"])
        people = {name: [f"{name}@example.com", f"{name} has four lighthouses"] for name in ("carol", "dave", "erin")}
        for name, (email, password) in people.items():
            ask(f"{url}/v1/{organization}/users", {"user": {"email": email, "displayName": name}, "password": password, "role": "VIEWER"}, token)
        upstream = {"clientId": "workos", "clientSecret": urlsafe_b64encode(os.urandom(32)).decode(), "issuer": f"http://localhost:{port}"}
        row = {"displayName": "Harbor ID", "protocol": "OIDC", "scopes": ["openid", "email"], **upstream}
        row = ask(f"{url}/v1/{OPERATORS}/identityProviders", row, sign_in(url, OPERATORS))
        world = {
            "issuer": url,
            "upstream": upstream | {"name": row["name"], "redirectUri": row["redirectUri"]},
            "people": people,
            "web": register(url, token, organization, displayName="Web", kind="WEB", actors=[machine["id"]], **back),
            "post": register(url, token, organization, displayName="Post", kind="WEB", authenticationMethod="CLIENT_SECRET_POST", idTokenAlgorithm="ES256", **back),
            "native": register(url, token, organization, displayName="Native", kind="NATIVE", **back),
            "loopback": register(url, token, organization, displayName="Desk", kind="NATIVE", redirectUris=["http://127.0.0.1/cb", "http://[::1]/cb"], scopes=scopes),
            "machine": machine,
            "told": told,
            "page": page,
            "browser": [sys.executable, str(HERE / "browser.py")],
            "person": [EMAIL, PASSWORD, organization],
        }
        failed = []
        for judge in names or JUDGES:
            if judge == "pages" and not shutil.which("chromedriver"):
                # Named it is a must; otherwise its absence is told, as CI tells that of npm.
                print("FAILED " if names else "absent ", judge, "Chromium is missing (Debian: apt-get install chromium chromium-driver)")
                failed += [judge] if names else []
                continue
            program, script = JUDGES[judge]
            # Node looks for packages from where a script lies upwards.
            copy = pathlib.Path(judges) / f"run-{os.getpid()}-{script}"
            copy.write_text((HERE / script).read_text())
            environment = {**os.environ, "WORLD": json.dumps(world | {"cookies": str(folder / f"{judge}.txt")}), "AUTHLIB_INSECURE_TRANSPORT": "1"}
            words = [sys.executable if program == "python" else program, str(copy)]
            told = subprocess.run(words, env=environment, capture_output=True, text=True)
            copy.unlink()
            counted = re.search(r"(\d+) checks", told.stdout)
            good = told.returncode == 0 and counted is not None and int(counted[1]) >= LEAST[judge]
            print(f"{'passed' if good else 'FAILED'}  {judge.ljust(14)} {told.stdout.strip().splitlines()[-1] if told.stdout.strip() else ''}")
            if not good:
                failed.append(judge)
                print(told.stdout[-2000:] + told.stderr[-4000:])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
