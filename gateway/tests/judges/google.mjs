// Google's own REST clients for Secret Manager: @google-cloud/secret-manager over google-gax here, and in Python by
// google_rest.py, which is asked for its verdict.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";

const require = createRequire(import.meta.url);
const { SecretManagerServiceClient } = require("@google-cloud/secret-manager");

export default async function run(check, { port }) {
  const anonymous = { getRequestHeaders: async () => new Headers(), getClient: async () => anonymous, getUniverseDomain: async () => "googleapis.com", fetch };
  const client = new SecretManagerServiceClient({
    fallback: true,
    protocol: "http",
    apiEndpoint: "127.0.0.1",
    port,
    projectId: "p",
    auth: { ...anonymous, getProjectId: async () => "p" },
  });
  const parent = "projects/javascript";
  await check("gax: create, add, access: names in the path, bytes in the body", async () => {
    const labels = { team: "search", "with space": "ü/+%" };
    const [secret] = await client.createSecret({ parent, secretId: "one", secret: { labels, replication: { automatic: {} } } });
    assert.equal(secret.name, `${parent}/secrets/one`);
    assert.deepEqual(secret.labels, labels);
    const data = Buffer.from([0, 1, 254, 255]);
    const [version] = await client.addSecretVersion({ parent: secret.name, payload: { data } });
    const [got] = await client.accessSecretVersion({ name: version.name });
    assert.deepEqual(Buffer.from(got.payload.data), data);
  });
  await check("gax: an update with a mask", async () => {
    const [secret] = await client.updateSecret({ secret: { name: `${parent}/secrets/one`, labels: { team: "files" } }, updateMask: { paths: ["labels"] } });
    assert.deepEqual(secret.labels, { team: "files" });
  });
  await check("gax: pages", async () => {
    for (const secretId of ["two", "three", "four"]) await client.createSecret({ parent, secretId, secret: { replication: { automatic: {} } } });
    const names = [];
    for await (const secret of client.listSecretsAsync({ parent, pageSize: 2 })) names.push(secret.name);
    assert.equal(names.length, 4);
  });
  await check("gax: errors have their code", async () => {
    await assert.rejects(client.getSecret({ name: `${parent}/secrets/none` }), (error) => error.code === 5);
    await assert.rejects(client.createSecret({ parent, secretId: "one", secret: { replication: { automatic: {} } } }), (error) => error.code === 6);
  });
  await check("gax: delete answers with nothing", async () => {
    await client.deleteSecret({ name: `${parent}/secrets/one` });
    await assert.rejects(client.getSecret({ name: `${parent}/secrets/one` }), (error) => error.code === 5);
  });
  await check("google-api-core in Python", async () => {
    const python = join(process.env.JUDGES, "venv/bin/python");
    await promisify(execFile)(python, [new URL("google_rest.py", import.meta.url).pathname, String(port)]);
  });
}
