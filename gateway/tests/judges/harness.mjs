// Starts upstreams and one edge, lets every judge ask what it asks, and prints one line for each.
// Usage: node harness.mjs GATEWAY JUDGE.bin SECRETS.bin [NAME...]. What must hold: a judge that fails, or asks nothing, fails
// the run; whatever was started is stopped.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { start } from "./upstream.mjs";

const JUDGES = ["connect", "grpc_web", "grpc_js", "google", "streams", "commands"];

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// Starts the edge; ready when it routes.
async function edge(program, upstream, sets) {
  const folder = mkdtempSync(join(tmpdir(), "workos-judges-"));
  const port = await freePort();
  const source = (name, file) => `{upstream="${name}",file="${file}",access="public"}`;
  const settings = {
    "gateway.listen": `127.0.0.1:${port}`,
    "admin.listen": "127.0.0.1:0",
    "gateway.schema.compiled_in": "false",
    "gateway.schema.sources": `[${source("judge", sets[0])},${source("secrets", sets[1])}]`,
    "rpc.listen": "127.0.0.1:0",
    "mesh.mode": "sidecar",
    "mesh.addresses.judge": `["127.0.0.1:${upstream}"]`,
    "mesh.addresses.secrets": `["127.0.0.1:${upstream}"]`,
    // Nobody listens there: the edge serves without.
    "engines.redis.url": "redis://127.0.0.1:1",
    "engines.nats.url": "nats://127.0.0.1:1",
    "telemetry.level": "warn",
    "gateway.cors_origins": `["http://app.example"]`,
    ...Object.fromEntries(["address", "read", "write", "heavy"].map((rate) => [`gateway.rate_${rate}`, "1000000"])),
  };
  const args = ["serve", ...Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`])];
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const stop = async () => {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  await until("the edge answers", async () => {
    if (child.exitCode !== null) throw new Error(`the edge ended with ${child.exitCode}`);
    return (await fetch(`${url}/v1/notes/x`).catch(() => ({}))).ok;
  });
  return { url, port, stop };
}

// Waits until something is so, at most 20 seconds.
export async function until(what, isSo) {
  const end = Date.now() + 20_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not after 20 seconds: ${what}`);
    await new Promise((next) => setTimeout(next, 20));
  }
}

async function judge(name, world) {
  const failures = [];
  let asked = 0;
  const check = async (what, ask) => {
    asked += 1;
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(reject, 30_000, new Error("no answer in 30 seconds"))));
    await Promise.race([ask(), late]).catch((error) => failures.push(`${what}: ${error.stack ?? error}`));
    clearTimeout(timer);
  };
  const { default: run } = await import(`./${name}.mjs`);
  await run(check, world);
  console.log(`${failures.length || !asked ? "FAILED" : "passed"}  ${name.padEnd(10)} ${asked - failures.length} of ${asked}`);
  failures.forEach((failure) => console.log(`    ${failure.replaceAll("\n", "\n      ")}`));
  return asked > 0 && failures.length === 0;
}

async function main([program, ...rest]) {
  const sets = rest.splice(0, 2);
  const names = rest.length ? rest : JUDGES;
  const unknown = names.filter((name) => !JUDGES.includes(name));
  if (unknown.length) throw new Error(`there is no judge ${unknown}; there are ${JUDGES.join(", ")}`);
  const upstream = await start(readFileSync(sets[0]));
  const running = await edge(program, upstream.port, sets);
  let good = true;
  try {
    const world = { ...running, types: upstream.types, loaded: upstream.loaded, judgeSet: sets[0] };
    for (const name of names) good = (await judge(name, world)) && good;
  } finally {
    await running.stop();
    upstream.stop();
  }
  return good;
}

// Clients keep sockets and timers: the answer is known, so the process ends.
if (process.argv[1]?.endsWith("harness.mjs")) {
  main(process.argv.slice(2)).then(
    (good) => process.exit(good ? 0 : 1),
    (error) => {
      console.error(`judges: ${error.message}`);
      process.exit(1);
    },
  );
}
