// Command-line clients: grpcurl and `buf curl`, by reflection at the edge.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const bin = (name) => join(process.env.WORKOS_TOOLS, "bin", name);

async function grpcurl(check, { port }) {
  const at = `127.0.0.1:${port}`;
  const say = async (...args) => (await run(bin("grpcurl"), ["-plaintext", ...args])).stdout;
  await check("grpcurl: lists and describes", async () => {
    const services = await say(at, "list");
    assert.ok(services.includes("judge.v1.Judge") && services.includes("google.cloud.secretmanager.v1.SecretManagerService"), services);
    assert.ok((await say(at, "describe", "judge.v1.Judge.Echo")).includes("google.api.http"));
  });
  await check("grpcurl: a call, a stream, an error", async () => {
    assert.deepEqual(JSON.parse(await say("-d", '{"text":"hi","big":"9007199254740993"}', at, "judge.v1.Judge/Echo")), { text: "hi", big: "9007199254740993" });
    assert.equal((await say("-d", '{"count":3}', at, "judge.v1.Judge/List")).match(/notes\//g).length, 3);
    await assert.rejects(say("-d", "{}", at, "judge.v1.Judge/Fail"), (error) => error.stderr.includes("FailedPrecondition") && error.stderr.includes("ASKED"));
  });
}

async function buf(check, { url, judgeSet }) {
  // The edge reflects by gRPC; for the others the schema is given.
  const schema = (protocol) => (protocol === "grpc" ? [] : ["--schema", judgeSet]);
  const say = async (data, method, ...args) => (await run(bin("buf"), ["curl", "--http2-prior-knowledge", ...args, "-d", data, `${url}/judge.v1.Judge/${method}`])).stdout;
  for (const protocol of ["connect", "grpc", "grpcweb"]) {
    await check(`buf curl: ${protocol}`, async () => {
      assert.deepEqual(JSON.parse(await say('{"text":"hi"}', "Echo", "--protocol", protocol, ...schema(protocol))), { text: "hi" });
      assert.equal((await say('{"count":3}', "List", "--protocol", protocol, ...schema(protocol))).match(/notes\//g).length, 3);
      await assert.rejects(say("{}", "Fail", "--protocol", protocol, ...schema(protocol)), (error) => error.stderr.includes("failed_precondition"));
    });
  }
}

export default async function judge(check, world) {
  if (existsSync(bin("grpcurl"))) await grpcurl(check, world);
  else console.log("        grpcurl was not built yet (./dev grpcurl --version); it is not asked");
  await buf(check, world);
}
