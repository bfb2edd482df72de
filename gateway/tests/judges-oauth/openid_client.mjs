// openid-client, the usual one for Node: the way that docs/signin.md tells, and what else its users do.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as client from "openid-client";

const world = JSON.parse(process.env.WORLD);
const back = "https://app.example/cb";
let checks = 0;
const check = (condition, what) => {
  checks += 1;
  assert(condition, what);
};
const browse = (url) => {
  const [program, script] = world.browser;
  return execFileSync(program, [script, world.cookies, String(url), ...world.person], { encoding: "utf8" }).trim();
};
const discover = (app, auth) =>
  client.discovery(new URL(world.issuer), app.id, app.secret || undefined, auth, { execute: [client.allowInsecureRequests] });

for (const [app, auth] of [[world.web, client.ClientSecretBasic(world.web.secret)], [world.native, client.None()]]) {
  const config = await discover(app, auth);
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const parameters = {
    redirect_uri: back,
    scope: "openid email offline_access",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  };
  const url = app.secret ? await client.buildAuthorizationUrlWithPAR(config, parameters) : client.buildAuthorizationUrl(config, parameters);
  const tokens = await client.authorizationCodeGrant(config, new URL(browse(url)), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const { sub } = tokens.claims();
  check((await client.fetchUserInfo(config, tokens.access_token, sub)).email === world.person[0], "userinfo");
  const next = await client.refreshTokenGrant(config, tokens.refresh_token);
  check(next.access_token !== tokens.access_token, "refreshed");
  if (app.secret) check((await client.tokenIntrospection(config, next.access_token)).active, "active");
  const wrong = new URL(back);
  wrong.search = new URLSearchParams({ code: "wrong", state, iss: world.issuer });
  const refused = client.authorizationCodeGrant(config, wrong, { pkceCodeVerifier: verifier, expectedState: state });
  await assert.rejects(refused, (error) => error.error === "invalid_grant");
  await client.tokenRevocation(config, next.refresh_token);
  await assert.rejects(client.refreshTokenGrant(config, next.refresh_token), (error) => error.error === "invalid_grant");
  checks += 2;
  const out = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: "https://app.example/bye", state: "x" });
  check(browse(out) === "https://app.example/bye?state=x", "signed out");
  const silent = client.buildAuthorizationUrl(config, { ...parameters, prompt: "none" });
  check(new URL(browse(silent)).searchParams.get("error") === "login_required", "nobody is signed in any more");
}

const machine = await discover(world.machine, client.ClientSecretBasic(world.machine.secret));
check((await client.clientCredentialsGrant(machine, { scope: "organization:read" })).access_token, "client credentials");

const native = await discover(world.native, client.None());
const device = await client.initiateDeviceAuthorization(native, { scope: "openid" });
const polled = client.pollDeviceAuthorizationGrant(native, device);
browse(device.verification_uri_complete);
check((await polled).claims().sub, "device code");
console.log(`${checks} checks`);
