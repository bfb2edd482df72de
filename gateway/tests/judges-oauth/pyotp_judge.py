"""pyotp, the usual one for Python, as authenticator app: it reads the enrolment's URI as an app reads the QR code, and its codes confirm the factor and
sign its person in, through the API and through the pages. What must hold: a code is good once, for its own time and the step beside it, and only after
the password."""
import datetime
import http.cookiejar
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import pyotp

WORLD = json.loads(os.environ["WORLD"])
HOME = WORLD["issuer"]
STEP = 30
checks = 0


def check(good, told):
    global checks
    assert good, told
    checks += 1


def ask(path, body, token=None, form=False):
    data = urllib.parse.urlencode(body).encode() if form else json.dumps(body).encode()
    headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(HOME + path, data, headers)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"refused": json.loads(error.read())}


def begin(person):
    """Password given: the flow that waits for more, and the verifier of its code."""
    verifier = urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    step = ask("/v1/login:start", {
        "clientId": "workos-cli", "redirectUri": "http://127.0.0.1:9/callback", "codeChallengeMethod": "S256",
        "codeChallenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()})
    return ask("/v1/login:continue", {"flow": step["flow"], "password": {"email": person[0], "password": person[1]}}), verifier


def tokens(step, verifier):
    return ask("/oauth2/token", {
        "grant_type": "authorization_code", "client_id": "workos-cli", "code": step["done"]["code"], "redirect_uri": "http://127.0.0.1:9/callback",
        "code_verifier": verifier}, form=True)


def enrol(person, name):
    """A confirmed authenticator app, and the time step that was used for it."""
    token = tokens(*begin(person))["access_token"]
    made = ask("/v1/users/me/mfaFactors", {"displayName": name}, token)
    app = pyotp.parse_uri(made["otpauthUri"])
    check(isinstance(app, pyotp.TOTP) and app.secret == made["secret"], made)
    check((app.digits, app.interval, app.digest().name, len(app.byte_secret())) == (6, STEP, "sha1", 20), made["otpauthUri"])
    check(app.name == person[0] and app.issuer, (app.name, app.issuer))
    check(pyotp.parse_uri(app.provisioning_uri()).secret == app.secret, "it reads what it writes")
    confirm = f"/v1/{made['name']}:confirm"
    wrong = f"{(int(app.now()) + 1) % 1_000_000:06}"
    good = {app.at(time.time() + STEP * step) for step in range(-2, 3)}
    if wrong not in good:
        check("refused" in ask(confirm, {"code": wrong}, token), "a wrong code confirms nothing")
    step, _ = begin(person)
    check("done" in step, f"an unconfirmed factor is not asked for: {step}")
    used = app.timecode(datetime.datetime.now())
    told = ask(confirm, {"code": app.generate_otp(used)}, token)
    check(told["mfaFactor"]["confirmed"] and len(told["recoveryCodes"]) == 10, told)
    return app, used


def after(app, used):
    """Waits until a code of a later step is good: a step ahead is taken, so that is not long."""
    while app.timecode(datetime.datetime.now()) + 1 <= used:
        time.sleep(0.2)
    return max(used + 1, app.timecode(datetime.datetime.now()))


def by_api(person):
    app, used = enrol(person, "Phone")
    first, verifier = begin(person)
    check("secondFactor" in first and "done" not in first, first)

    def answer(timecode):
        step, own = begin(person)
        return ask("/v1/login:continue", {"flow": step["flow"], "totp": app.generate_otp(timecode)}), own

    check("refused" in answer(used)[0], "the code that confirmed it")
    now = app.timecode(datetime.datetime.now())
    check("refused" in answer(now - 3)[0] and "refused" in answer(now + 4)[0], "codes of other times")
    used = after(app, used)
    good = ask("/v1/login:continue", {"flow": first["flow"], "totp": app.generate_otp(used)})
    check("done" in good, good)
    signed = tokens(good, verifier)
    claims = json.loads(urlsafe_b64decode(signed["access_token"].split(".")[1] + "=="))
    check({"pwd", "otp"} <= set(claims["amr"]), claims)
    check("refused" in answer(used)[0], "a code is good once")


def by_pages(person):
    app, used = enrol(person, "Tablet")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def send(page, **answers):
        fields = dict(re.findall(r'<input[^>]* type="hidden"[^>]* name="(\w+)" value="([^"]*)"', page)) or dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', page))
        body = urllib.parse.urlencode(fields | answers).encode()
        try:
            with opener.open(urllib.request.Request(f"{HOME}/signin", body, {"origin": HOME})) as answer:
                return answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.url, error.read().decode()

    page = opener.open(f"{HOME}/signin?return_to=/device").read().decode()
    _, asked = send(page, email=person[0], password=person[1])
    check('name="totp"' in asked, asked)
    _, again = send(asked, totp=app.generate_otp(used))
    check('role="alert"' in again and 'name="totp"' in again, again)
    url, last = send(again, totp=app.generate_otp(after(app, used)))
    check(url == f"{HOME}/device" and "user_code" in last, (url, last))


by_api(WORLD["people"]["dave"])
by_pages(WORLD["people"]["erin"])
print(f"{checks} checks")
