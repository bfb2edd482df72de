"""Starts a platform, signs in as its owner and lets the judges of the document and of the server speak, each on its own.

What must hold: every judge ends well; of hooks.KNOWN every finding is met, else it is mended and must leave the list.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
RATES = ("address", "read", "write", "heavy", "credential")
# What ends the caller, his session or his organization is asked after all else, which would be refused to him.
ENDING = "^(OrganizationService_(DeleteOrganization|LeaveOrganization|DeleteMembership|UpdateMembership)|UserService_(DeleteUser|RevokeAllSessions|DeleteSession|ChangePassword|ChangeEmail))$"
# A token lives nine minutes at most, so schemathesis must be done by then.
SETTINGS = ["gateway.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "auth.access_token_life=9m", *(f"gateway.rate_{rate}=1000000" for rate in RATES)]


@contextlib.contextmanager
def platform(workos, folder):
    """Its public address, while it runs."""
    words = [workos, *(word for setting in SETTINGS for word in ("--set", setting)), "up"]
    with open(folder / "up.log", "wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    try:
        end, found = time.monotonic() + 180, None
        while not found:
            text = (folder / "up.log").read_text()
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"judges-openapi: the platform does not start: {text[-800:]}")
            found = re.search(r"OpenAPI +(http://\S+)/openapi\.json", text)
            time.sleep(0.1)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def signed_in(workos, folder):
    """Makes the demo's people and content; the environment in which schemathesis is the owner."""
    content = folder / "content"
    content.mkdir()
    for n in range(3):
        (content / f"text-{n}.txt").write_text(f"Text number {n} about lighthouses.\n")
    (content / "blob.bin").write_bytes(bytes(range(256)) * 64)
    told = subprocess.run([workos, "demo", content], cwd=folder, capture_output=True, text=True)
    if told.returncode:
        sys.exit(f"judges-openapi: the demo fails: {(told.stdout + told.stderr)[-800:]}")
    token = subprocess.run([workos, "login", "--demo"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    organization = json.loads((folder / ".workos/demo.json").read_text())["organization"]
    return {**os.environ, "WORKOS_TOKEN": token, "WORKOS_ORGANIZATION": organization, "WORKOS_SEEN": str(folder / "seen")}


def document(url, folder, judges):
    """openapi-spec-validator and Redocly's linter."""
    file = folder / "openapi.json"
    file.write_bytes(urllib.request.urlopen(f"{url}/openapi.json").read())
    operations = sum(len(path) for path in json.loads(file.read_text())["paths"].values())
    valid = subprocess.run([judges / "venv/bin/openapi-spec-validator", file]).returncode == 0
    lint = subprocess.run([judges / "node_modules/.bin/redocly", "lint", file, f"--config={HERE / 'redocly.yaml'}", "--format=json"],
                          capture_output=True, text=True, env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    problems = json.loads(lint.stdout)["problems"]
    for problem in problems:
        print(f"redocly {problem['ruleId']}: {problem['message']} at {problem['location'][0].get('pointer')}")
    print(f"document: {operations} operations, {'valid' if valid else 'INVALID'}, {len(problems)} problems by redocly")
    return valid and lint.returncode == 0 and not problems and operations > 40


def schemathesis(url, folder, judges, environment):
    """All checks, with a fixed seed and a bounded number of examples: first of all that ends nothing of the caller's, then of the rest."""
    return all([asked(url, folder, judges, environment, ending) for ending in (False, True)])


def asked(url, folder, judges, environment, ending):
    """One run over what ends the caller, or over all else."""
    # One filter: of several only what all of them name is left out. Streams without end are judged elsewhere. positive_data_acceptance and allow_header_conformance: see hooks.py.
    words = [judges / "venv/bin/schemathesis", f"--config-file={HERE / 'schemathesis.toml'}", "run", f"{url}/openapi.json", f"--url={url}",
             f"--include-operation-id-regex={ENDING}" if ending else f"--exclude-operation-id-regex={ENDING}|_Watch", "--exclude-checks=positive_data_acceptance,allow_header_conformance,object_level_authorization",
             "--workers=1", "--seed=1", "--max-examples=6", "--phases=examples,coverage,fuzzing", "--request-timeout=20", "--no-color"]
    told = subprocess.run(words, cwd=folder, env={**environment, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks"}, capture_output=True, text=True)
    (folder / "schemathesis.log").write_text(told.stdout + told.stderr)
    import hooks
    seen = pathlib.Path(environment["WORKOS_SEEN"])
    seen = set(seen.read_text().split()) if seen.exists() else set()
    gone = set(hooks.KNOWN) - seen if ending else set()
    cases = re.search(r"(\d+) generated", told.stdout)
    if told.returncode or not cases or gone:
        print(told.stdout[-20000:], told.stderr[-2000:])
    for name in gone:
        print(f"schemathesis: {name} is found no more; take it off hooks.KNOWN")
    strange = re.search(r"401 Unauthorized \((\d+) operations?\)", told.stdout)
    print(f"schemathesis: {strange[1] if strange else 'no'} operations answered 401 alone")
    print(f"schemathesis, {'what ends the caller' if ending else 'all else'}: {cases[1] if cases else 'no'} cases, exit {told.returncode}; known: {', '.join(sorted(seen)) or 'none'}")
    return told.returncode == 0 and bool(cases) and not gone


def main(root, bin_, judges, names):
    root, bin_, judges = pathlib.Path(root), pathlib.Path(bin_).resolve(), pathlib.Path(judges)
    known = {"document", "schemathesis", "websocket"}
    if set(names) - known:
        sys.exit(f"judges-openapi: known are {' '.join(sorted(known))}")
    names, verdicts = set(names) or known, []
    with tempfile.TemporaryDirectory(prefix="workos-judges-") as folder:
        folder = pathlib.Path(folder)
        if names & {"document", "schemathesis"}:
            with platform(bin_ / "workos", folder) as url:
                if "document" in names:
                    verdicts.append(document(url, folder, judges))
                if "schemathesis" in names:
                    verdicts.append(schemathesis(url, folder, judges, signed_in(bin_ / "workos", folder)))
    if "websocket" in names:
        verdicts.append(subprocess.run([sys.executable, "-B", HERE / "websocket.py", root, bin_ / "workos-gateway"]).returncode == 0)
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    # What was started is ended also when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(*sys.argv[1:4], sys.argv[4:]))
