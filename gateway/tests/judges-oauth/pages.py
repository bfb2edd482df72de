"""A real browser (Chromium over WebDriver) at the pages: signs in with a password, registers a passkey with a virtual authenticator and signs in with it,
decides about an application, signs out. Every page is looked at in the widths of a phone and of a desktop: nothing is wider than the window, every
field has a name for assistive technology, and nothing is refused by the page's own policy. SCREENSHOTS names a folder for pictures of them all."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

WORLD = json.loads(os.environ["WORLD"])
EMAIL, PASSWORD, ORGANIZATION = WORLD["person"]
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
PICTURES = os.environ.get("SCREENSHOTS")
checks = 0


def check(good, told):
    global checks
    assert good, told
    checks += 1


class Browser:
    """The few commands of W3C WebDriver that are needed."""

    def __init__(self, driver):
        self.root = driver
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.root += f"/session/{made['sessionId']}"

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:500]) from None

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.ask("GET", "/url")

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script, *arguments):
        """The body of an async function; what it returns."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments).then(done, (e) => done('!' + e))"
        found = self.ask("POST", "/execute/async", {"script": wrapped, "args": list(arguments)})
        assert not (isinstance(found, str) and found.startswith("!")), found
        return found

    def find(self, css):
        end = time.monotonic() + 20
        while True:
            found = self.ask("POST", "/elements", {"using": "css selector", "value": css})
            if found:
                return next(iter(found[0].values()))
            if time.monotonic() > end:
                raise AssertionError(f"{css} is not on {self.url}: {self.run('return document.body.innerText')}")
            time.sleep(0.05)

    def write(self, css, text):
        element = self.find(css)
        self.ask("POST", f"/element/{element}/clear", {})
        self.ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, css):
        self.ask("POST", f"/element/{self.find(css)}/click", {})

    def send(self, css):
        """Presses, and waits for the next page: it may show what this one shows already."""
        self.run("window.left = true")
        self.press(css)
        end = time.monotonic() + 20
        while self.run("return window.left === true || document.readyState !== 'complete'"):
            assert time.monotonic() < end, f"{css} leads nowhere from {self.url}"
            time.sleep(0.05)

    def await_heading(self, heading):
        """A page with this heading, and nothing else, is what comes."""
        end = time.monotonic() + 20
        while True:
            found = self.run("return [...document.querySelectorAll('h1')].map((each) => each.innerText)")
            if found == [heading]:
                return
            assert time.monotonic() < end, f"not {heading} but {self.run('return document.body.innerText')} at {self.url}"
            time.sleep(0.05)

    def await_url(self, start):
        end = time.monotonic() + 20
        while not self.url.startswith(start):
            assert time.monotonic() < end, f"not {start} but {self.url}"
            time.sleep(0.05)
        check(True, start)

    def look(self, name, heading, path):
        """The page as a phone and a desktop show it."""
        self.await_heading(heading)
        check(urllib.parse.urlsplit(self.url).path == path, f"{name} is at {self.url}")
        for size, (width, height) in SIZES.items():
            self.ask("POST", "/window/rect", {"width": width, "height": height})
            wide = self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            check(wide <= 0, f"{name} is {wide} px wider than a {size}")
            if PICTURES:
                pathlib.Path(PICTURES, f"{name}-{size}.png").write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))
        bare = self.run("return [...document.querySelectorAll('input:not([type=hidden])')].filter((field) => !field.labels.length).map((field) => field.name)")
        check(not bare, f"{name}: fields without a label: {bare}")
        refused = [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"}) if "Content Security Policy" in entry["message"]]
        check(not refused, f"{name}: {refused}")


@contextlib.contextmanager
def browser():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    process = subprocess.Popen(["chromedriver", f"--port={port}", "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    opened = None
    try:
        end = time.monotonic() + 20
        while opened is None:
            try:
                opened = Browser(f"http://127.0.0.1:{port}")
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end and process.poll() is None, "chromedriver does not start"
                time.sleep(0.05)
        yield opened
    finally:
        if opened:
            opened.ask("DELETE", "")
        process.terminate()
        process.wait(20)


def sign_in(page, first=False):
    page.write("#email", EMAIL)
    page.write("#password", "wrong lighthouses everywhere")
    if first:
        page.press("form button:not([class])")
        page.find("[role=alert]:not([hidden])")
        page.look("sign-in-refused", "Sign in", "/signin")
        check(page.run("return document.title") == "Error: Sign in", "what is wrong is not said first")
        check(page.run("return document.activeElement.id") == "email", "the first field is not where one types")
        page.write("#email", EMAIL)
    page.write("#password", PASSWORD)
    page.press("form button:not([class])")
    page.find("input[name=organization]")
    if first:
        page.look("organization", "Choose an organization", "/signin")
    page.press(f"input[value='{ORGANIZATION}']")
    page.press("form button")


def walk(page):
    home = WORLD["issuer"]
    page.go(f"{home}/signin?return_to=/device")
    page.look("sign-in", "Sign in", "/signin")
    sign_in(page, first=True)
    page.find("#user_code")
    page.look("device", "Connect a device", "/device")
    check(page.url == f"{home}/device", page.url)

    # A passkey, by the calls that an application of the same origin would make. The pages' own policy lets no script call anything.
    page.go(f"{home}/.well-known/openid-configuration")
    page.ask("POST", "/webauthn/authenticator", {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True})
    codes = page.wait_for("""
        const call = async (path, body) => {
          const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
          const told = await answer.json();
          if (!answer.ok) throw new Error(JSON.stringify(told));
          return told;
        };
        const begun = await call("/v1/users/me/passkeys:startRegistration", {});
        const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(begun.options).publicKey);
        const made = await navigator.credentials.create({ publicKey });
        const done = await call("/v1/users/me/passkeys:finishRegistration",
          { registration: begun.registration, credential: JSON.stringify(made), displayName: "Laptop" });
        return done.recoveryCodes;""")
    check(len(codes) == 10, codes)

    page.go(f"{home}/oauth2/logout")
    page.look("sign-out", "Sign out?", "/oauth2/logout")
    page.press("button[name=confirmed]")
    page.look("signed-out", "You are signed out", "/oauth2/logout")

    # The passkey alone, and the application that sent the person here.
    web = WORLD["web"]
    asked = {
        "client_id": web["id"], "redirect_uri": "https://app.example/cb", "response_type": "code", "scope": "openid email organization:read",
        "state": "s", "prompt": "consent", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
    authorize = f"{home}/oauth2/authorize?{urllib.parse.urlencode(asked)}"
    page.go(authorize)
    page.find("#use_passkey:not([hidden])")
    page.look("sign-in-passkey", "Sign in", "/oauth2/authorize")
    page.press("#use_passkey")
    page.find("input[name=organization], button[name=decision]")
    if page.run("return document.querySelector('input[name=organization]') !== null"):
        page.press(f"input[value='{ORGANIZATION}']")
        page.press("form button")
    page.find("button[name=decision]")
    page.look("consent", "Let Web in?", "/signin")
    page.press("button[value=deny]")
    page.await_url("https://app.example/cb?error=access_denied")

    # Allowed, and back to an application on this machine: the policy lets the form lead to the first address, and cannot name the second.
    for host in ("127.0.0.1", "[::1]"):
        back = {"client_id": WORLD["loopback"]["id"], "redirect_uri": f"http://{host}:49152/cb"}
        page.go(f"{home}/oauth2/authorize?{urllib.parse.urlencode(asked | back)}")
        page.look("consent-desk", "Let Desk in?", "/oauth2/authorize")
        page.press("button[value=approve]")
        page.await_url(f"http://{host}:49152/cb?code=")

    # The password is no longer enough.
    page.go(f"{home}/signin?prompt=login&return_to=/device")
    page.write("#email", EMAIL)
    page.write("#password", PASSWORD)
    page.send("form button:not([class])")
    page.find("#recovery_code")
    page.look("second-factor", "Confirm that it is you", "/signin")
    page.send("form button:not([class])")
    page.find("[role=alert]:not([hidden])")
    page.look("second-factor-empty", "Confirm that it is you", "/signin")
    page.write("#recovery_code", "aaaa-aaaa-aaaa-aaaa")
    page.send("form button:not([class])")
    page.find("[role=alert]:not([hidden])")
    page.press("#use_passkey")
    page.find("input[name=organization], #user_code")

    # A sign-in page of one's own, by the script of docs/signin.md, where it is opened in the browser that the sign-in is for.
    page.go(f"{home}/signin?prompt=login")
    secret = next(cookie["value"] for cookie in page.ask("GET", "/cookie") if cookie["name"].endswith("workos_flow"))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()
    page.go(f"{home}/.well-known/openid-configuration?code_challenge={challenge}&return_to=/device")
    script = next(block for block in re.findall(r"```js\n(.*?)```", WORLD["page"], re.S) if "login:start" in block)
    page.wait_for("""
        const [email, password, recoveryCode, organization] = args;
        const answerOf = (step) => step.password ? { password: { email, password } } : step.secondFactor ? { recoveryCode } : { organization };
        """ + script, EMAIL, PASSWORD, codes[0], ORGANIZATION)
    page.await_url(f"{home}/device")
    page.find("#user_code")

    # A link in a mail is good in the browser that asked for it, and shows a form there.
    page.go(f"{home}/auth/link/magic?token=x")
    check(not page.run("return document.querySelector('form') !== null"), "nobody has asked for a link here")
    page.look("magic-elsewhere", "You have not asked for this link here", "/auth/link/magic")
    page.go(f"{home}/signin?prompt=login&return_to=/device")
    page.write("#email", EMAIL)
    page.press("button[name=send_code]")
    page.look("mail-sent", "Look into your mail", "/signin")
    page.go(f"{home}/auth/link/magic?token=x")
    page.look("magic", "Sign in", "/auth/link/magic")
    page.press("form button")
    page.look("magic-over", "The link is not good here", "/auth/link/magic")
    # What leads to a sign-in without one is looked at, and sent.
    page.go(f"{home}/signin/forgot")
    page.look("forgot", "Forgot your password?", "/signin/forgot")
    page.write("#email", EMAIL)
    page.press("form button")
    page.look("forgot-sent", "Look into your mail", "/signin/forgot")
    page.go(f"{home}/signup")
    page.look("sign-up", "Create an account", "/signup")
    page.write("#display_name", "Grace")
    page.write("#email", "grace@example.com")
    page.write("#password", "aaaaaaaaaaaaaaaa")
    page.press("form button")
    page.find("[role=alert]:not([hidden])")
    page.look("sign-up-refused", "Create an account", "/signup")
    page.write("#password", "six lighthouses by the sea")
    page.press("form button")
    page.look("sign-up-sent", "Look into your mail", "/signup")
    page.go(f"{home}/auth/link/reset?token=x")
    page.look("reset", "Choose a new password", "/auth/link/reset")
    page.write("#password", "six lighthouses by the sea")
    page.press("form button")
    page.look("reset-over", "The link is not good any more", "/auth/link/reset/done")
    page.go(f"{home}/oauth2/authorize")
    page.look("error", "The application cannot sign you in", "/oauth2/authorize")


with browser() as opened:
    walk(opened)
print(f"{checks} checks")
