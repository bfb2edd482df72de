// oauth4webapi, the strictest of them: discovery, code with PKCE, PAR, OpenID Connect with signatures, refresh, introspection,
// revocation, client credentials, device code, token exchange.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as oauth from "oauth4webapi";

const world = JSON.parse(process.env.WORLD);
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(world.issuer);
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

const found = await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...insecure });
const as = await oauth.processDiscoveryResponse(issuer, found);
check(as.code_challenge_methods_supported.includes("S256"), "PKCE");

// The whole way of a client; `push` sends the request by PAR.
async function signIn(client, auth, push) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: back,
    response_type: "code",
    scope: "openid profile email offline_access organization:read",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  });
  const url = new URL(as.authorization_endpoint);
  if (push) {
    const pushed = await oauth.processPushedAuthorizationResponse(
      as, client, await oauth.pushedAuthorizationRequest(as, client, auth, parameters, insecure));
    url.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  } else url.search = parameters;
  const answer = oauth.validateAuthResponse(as, client, new URL(browse(url)), state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, back, verifier, insecure);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, response, insecure);
  return tokens;
}

const clients = [
  [{ client_id: world.web.id }, oauth.ClientSecretBasic(world.web.secret), true],
  [{ client_id: world.post.id, id_token_signed_response_alg: "ES256" }, oauth.ClientSecretPost(world.post.secret), false],
  [{ client_id: world.native.id }, oauth.None(), false],
];
let exchanged;
for (const [client, auth, push] of clients) {
  const tokens = await signIn(client, auth, push);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  check(claims.sub && claims.auth_time, "who signed in");
  const info = await oauth.processUserInfoResponse(
    as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, insecure));
  check(info.email === world.person[0], "userinfo");
  const next = await oauth.processRefreshTokenResponse(
    as, client, await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, insecure));
  check(next.refresh_token && next.refresh_token !== tokens.refresh_token, "rotated");
  if (client.client_id !== world.native.id) {
    const ask = async (token) => oauth.processIntrospectionResponse(
      as, client, await oauth.introspectionRequest(as, client, auth, token, insecure));
    check((await ask(next.access_token)).active, "active");
    if (client.client_id === world.web.id) exchanged = next.access_token;
    else {
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, next.refresh_token, insecure));
      check((await ask(next.access_token)).active === false, "revoked");
    }
  }
}

const machine = { client_id: world.machine.id };
const machineAuth = oauth.ClientSecretBasic(world.machine.secret);
const own = await oauth.processClientCredentialsResponse(
  as, machine, await oauth.clientCredentialsGrantRequest(as, machine, machineAuth, { scope: "organization:read" }, insecure));
check(own.scope === "organization:read", "client credentials");
const read = await fetch(`${world.issuer}/v1/${world.person[2]}`, { headers: { authorization: `Bearer ${own.access_token}` } });
check(read.ok, "a machine calls the API");

const accessToken = "urn:ietf:params:oauth:token-type:access_token";
const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
const smaller = await oauth.processGenericTokenEndpointResponse(as, machine, await oauth.genericTokenEndpointRequest(
  as, machine, machineAuth, grant, { subject_token: exchanged, subject_token_type: accessToken }, insecure));
check(smaller.scope === "organization:read" && smaller.issued_token_type === accessToken, "token exchange");

const native = { client_id: world.native.id };
const device = await oauth.processDeviceAuthorizationResponse(
  as, native, await oauth.deviceAuthorizationRequest(as, native, oauth.None(), { scope: "openid" }, insecure));
const poll = async () => oauth.processDeviceCodeResponse(
  as, native, await oauth.deviceCodeGrantRequest(as, native, oauth.None(), device.device_code, insecure));
await assert.rejects(poll, (error) => error.error === "authorization_pending");
browse(device.verification_uri_complete);
await new Promise((next) => setTimeout(next, device.interval * 1000 + 100));
check((await poll()).id_token, "device code");
console.log(`${checks} checks`);
