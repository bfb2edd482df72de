// Social login against oidc-provider, an OpenID Connect provider that others wrote: it runs here, on loopback, and a person goes out to it and back
// through a client that keeps cookies and follows redirects as a browser does. What must hold: code, PKCE and nonce bring the right person in; an answer
// that was tampered with, wherever it can be, brings nobody in.
import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT, decodeJwt, importJWK } from "jose";
import Provider from "oidc-provider";

const world = JSON.parse(process.env.WORLD);
const { issuer: upstream, clientId, clientSecret, redirectUri, name } = world.upstream;
const home = world.issuer;
let checks = 0;
const check = (condition, what) => {
  checks += 1;
  assert(condition, what);
};

// What the provider says of people, and what is done to its ID tokens on their way.
const people = { carol: { email: world.people.carol[0], email_verified: true } };
let tamper = null;
const asked = [];

const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const key = { ...(await exportJWK(privateKey)), kid: "one", alg: "RS256", use: "sig" };
const stranger = (await generateKeyPair("RS256")).privateKey;
const provider = new Provider(upstream, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri], grant_types: ["authorization_code"], response_types: ["code"] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["lighthouse"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  jwks: { keys: [key] },
  pkce: { required: () => true },
});
const sign = async (claims, header = {}, by) =>
  new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "one", ...header }).sign(by ?? (await importJWK(key, "RS256")));
provider.use(async (context, next) => {
  await next();
  if (context.path === "/auth" && context.query.client_id) asked.push(context.query);
  if (context.path === "/token" && tamper && context.body.id_token) {
    context.body = { ...context.body, id_token: await tamper(decodeJwt(context.body.id_token)) };
  }
});
const server = provider.listen(Number(new URL(upstream).port), "localhost");

// A browser: cookies of each origin, redirects between the two, forms.
class Browser {
  jars = {};

  cookie(origin) {
    return Object.entries(this.jars[origin] ?? {}).map(([key, value]) => `${key}=${value}`).join("; ");
  }

  async ask(url, form) {
    const { origin } = new URL(url);
    const headers = { cookie: this.cookie(origin), origin };
    const answer = await fetch(url, { method: form ? "POST" : "GET", body: form && new URLSearchParams(form), headers, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const gone = attributes.some((attribute) => /^max-age=0$/i.test(attribute) || /^expires=Thu, 01 Jan 1970/i.test(attribute));
      const jar = (this.jars[origin] ??= {});
      if (gone) delete jar[pair.slice(0, at)];
      else jar[pair.slice(0, at)] = pair.slice(at + 1);
    }
    const page = await answer.text();
    const refresh = page.match(/<meta http-equiv="refresh" content="0;url=([^"]*)"/)?.[1];
    return { url, status: answer.status, location: answer.headers.get("location") ?? plain(refresh), page };
  }

  // Follows redirects until a page comes; `stop` may look at each address first, and change it.
  async go(url, form, stop = (target) => target) {
    let answer = await this.ask(url, form);
    for (let hops = 0; answer.location && hops < 12; hops += 1) {
      const target = stop(new URL(answer.location, answer.url).href);
      if (target === null) return answer;
      answer = await this.ask(target);
    }
    return answer;
  }

  // From the sign-in page to the provider, through its forms, and back; `stop` is asked before every redirect.
  async signIn(login, stop) {
    const page = await this.go(`${home}/signin?return_to=/device`);
    const button = page.page.match(/name="provider" value="([^"]*)"/)?.[1];
    check(button === name, `the page offers the provider: ${page.page}`);
    let answer = await this.go(`${home}/signin`, { ...hidden(page.page), provider: button, email: "", password: "" }, stop);
    for (let forms = 0; answer.url.startsWith(upstream) && forms < 3 && answer.status === 200 && !answer.location; forms += 1) {
      const action = answer.page.match(/<form[^>]* action="([^"]*)"/)?.[1];
      answer = await this.go(new URL(action, upstream).href, { ...hidden(answer.page), login, password: "any" }, stop);
    }
    return answer;
  }

  async whoAmI() {
    const answer = await fetch(`${home}/v1/users/me`, { headers: { cookie: this.cookie(home) } });
    return answer.ok ? (await answer.json()).email : answer.status;
  }
}

const plain = (html) => html?.replaceAll("&quot;", '"').replaceAll("&amp;", "&");
const hidden = (page) => Object.fromEntries([...page.matchAll(/<input[^>]* name="(\w+)" value="([^"]*)"/g)].map(([, key, value]) => [key, plain(value)]));

const isBack = (target) => target.startsWith(redirectUri);

// As it is meant: linked the first time, known by its subject afterwards, whatever the address is then. The code is good once.
for (const email of [world.people.carol[0], "moved@elsewhere.example"]) {
  people.carol = { email, email_verified: true };
  const browser = new Browser();
  let back, before;
  const answer = await browser.signIn("carol", (target) => {
    if (!isBack(target)) return target;
    before = structuredClone(browser.jars);
    return (back = target);
  });
  check(answer.status === 200 && answer.url === `${home}/device`, `${answer.status} ${answer.url} ${answer.page}`);
  check((await browser.whoAmI()) === world.people.carol[0], "carol is signed in");
  const again = new Browser();
  // The cookies as they were when the answer came first: what is refused is the answer, not a browser that did not ask.
  again.jars = before;
  await again.go(back);
  check((await again.whoAmI()) === 401, "an answer is good once");
}
// Somebody whose address the provider does not vouch for, and somebody whom nobody here knows.
for (const claims of [{ email: world.people.erin[0], email_verified: false }, { email: world.people.erin[0] }, { email: "nobody@elsewhere.example", email_verified: true }]) {
  people.mallory = claims;
  const browser = new Browser();
  await browser.signIn("mallory");
  check((await browser.whoAmI()) === 401, `nobody is signed in as ${JSON.stringify(claims)}`);
}

// Tokens that do not fit, all but the last two signed by the provider's own key.
const later = Math.floor(Date.now() / 1000) + 600;
const wrong = {
  "another nonce": (claims) => sign({ ...claims, nonce: "another" }),
  "no nonce": ({ nonce, ...claims }) => sign(claims),
  "another issuer": (claims) => sign({ ...claims, iss: "http://localhost:1" }),
  "the issuer with a slash": (claims) => sign({ ...claims, iss: `${claims.iss}/` }),
  "another audience": (claims) => sign({ ...claims, aud: "another" }),
  "another authorized party": (claims) => sign({ ...claims, aud: [clientId, "another"], azp: "another" }),
  "no end": ({ exp, ...claims }) => sign(claims),
  "an end in the past": (claims) => sign({ ...claims, exp: claims.iat - 600 }),
  "made in the future": (claims) => sign({ ...claims, iat: later, exp: later + 600 }),
  "no subject": ({ sub, ...claims }) => sign(claims),
  "an unknown key": (claims) => sign(claims, { kid: "two" }),
  "a stranger's key": (claims) => sign(claims, {}, stranger),
  "the secret as key": (claims) => new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(new TextEncoder().encode(clientSecret)),
  "no signature": async (claims) => `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.`,
};
for (const [what, change] of Object.entries(wrong)) {
  let done = false;
  tamper = (claims) => ((done = true), change(claims));
  const browser = new Browser();
  const answer = await browser.signIn("carol");
  check(done && answer.url.startsWith(home) && (await browser.whoAmI()) === 401, `an ID token with ${what} is refused: ${answer.url} ${answer.page}`);
}
tamper = null;

// What comes back with the browser.
const changed = {
  "another state": (target) => target.searchParams.set("state", "another"),
  "another issuer": (target) => target.searchParams.set("iss", "http://localhost:1"),
  "no issuer, which the provider promises": (target) => target.searchParams.delete("iss"),
  "another code": (target) => target.searchParams.set("code", "another"),
  "the provider's refusal": (target) => { target.searchParams.delete("code"); target.searchParams.set("error", "access_denied"); },
};
for (const [what, change] of Object.entries(changed)) {
  const browser = new Browser();
  let done = false;
  const answer = await browser.signIn("carol", (target) => {
    if (!isBack(target)) return target;
    done = true;
    const url = new URL(target);
    change(url);
    return url.href;
  });
  check(done && answer.url.startsWith(home) && (await browser.whoAmI()) === 401, `${what} is refused: ${answer.url}`);
}

// The answer in another browser, also in one that has begun a sign-in of its own.
const [victim, thief] = [new Browser(), new Browser()];
let kept;
await victim.signIn("carol", (target) => (isBack(target) ? ((kept = target), null) : target));
check(kept?.includes("code="), kept);
await new Browser().go(kept);
await thief.signIn("carol", (target) => (isBack(target) ? null : target));
await thief.go(kept);
check((await thief.whoAmI()) === 401, "an answer is good in its own browser alone");

for (const query of asked) {
  check(query.response_type === "code" && query.code_challenge_method === "S256" && query.code_challenge.length === 43, query);
  check(query.nonce.length >= 43 && query.state.length >= 43 && query.scope === "openid email" && query.redirect_uri === redirectUri, query);
}
for (const what of ["nonce", "state", "code_challenge"]) {
  check(new Set(asked.map((query) => query[what])).size === asked.length, `every sign-in has its own ${what}`);
}
server.closeAllConnections();
server.close();
console.log(`${checks} checks`);
