// Clients that mean harm, in a process of their own: whatever they do, the edge's memory stays bounded, others are served, the
// attack is answered or cut as the limits say, and what it held is given back.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import net from "node:net";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { until } from "./harness.mjs";
import { connect, frame, preface, websocket } from "./raw.mjs";

const MIB = 1024 * 1024;
const KIND = "content-type: application/json";
// More than the edge may grow by in any attack here but that of the connections, which have a bound of their own.
const GROWTH = 96 * MIB;
const PER_CONNECTION = 64 * 1024;

const listeners = async (admin) => (await fetch(`${admin}/listeners`)).json();
const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;

// Writes text on a connection of its own; gives the first line of the answer, or "closed".
async function answerTo(port, pieces) {
  const { socket, send, closed } = connect(port);
  let heard = "";
  const line = new Promise((resolve) =>
    socket.on("data", (data) => {
      heard += data;
      if (heard.includes("\r\n")) resolve(heard.split("\r\n")[0]);
    }));
  (async () => {
    for await (const piece of pieces) await send(piece);
  })();
  return Promise.race([line, closed.then(() => heard.split("\r\n")[0] || "closed")]);
}

function* repeated(piece, times) {
  for (let index = 0; index < times; index++) yield piece;
}

export default async function run(check, world) {
  const edge = await world.another({ "gateway.head_timeout": "1s", "gateway.body_idle": "1s", "gateway.stream_idle": "3s" });
  try {
    await attacks(check, edge);
  } finally {
    await edge.stop();
  }
}

async function attacks(check, edge) {
  const { port, pid, url, admin } = edge;
  // While an attack runs others ask all the time; afterwards memory is looked at.
  const under = (what, attack, growth = GROWTH, seconds = 60) =>
    check(what, async () => {
      const before = memory(pid);
      let [most, asked, over] = [before, 0, false];
      const others = (async () => {
        while (!over) {
          const answer = await fetch(`${url}/v1/notes/x`, { signal: AbortSignal.timeout(10_000) });
          assert.equal(answer.status, 200, "others are served");
          await answer.arrayBuffer();
          asked += 1;
          most = Math.max(most, memory(pid));
          await new Promise((next) => setTimeout(next, 5));
        }
      })();
      others.catch(() => {});
      await attack().finally(() => (over = true));
      await others;
      assert.ok(asked > 0, "nobody else asked");
      assert.ok(most - before < growth, `it grew by ${Math.round((most - before) / MIB)} MiB`);
      await until("what it held is given back", async () => {
        const [{ connections, requests }] = await listeners(admin);
        // Its own connections of HTTP/1.1 may wait for a next request.
        return connections.open < 10 && requests.at_work === 0;
      });
    }, seconds);
  await heads(under, edge);
  await bodies(under, edge);
  await frames(under, edge);
  await sockets(under, edge);
  await under("10,000 idle connections", () => idle(port), 10_000 * PER_CONNECTION, 180);
}

async function heads(under, { port }) {
  await under("slow heads are cut", async () => {
    async function* slowly() {
      for (const letter of "GET /v1/notes/x HTTP/1.1\r\nHost: a\r\nx-slow: ") {
        yield letter;
        await new Promise((next) => setTimeout(next, 100));
      }
    }
    const answers = await Promise.all(Array.from({ length: 200 }, () => answerTo(port, slowly())));
    answers.forEach((answer) => assert.match(answer, /closed|408/));
  });
  await under("too many and too long headers are refused", async () => {
    const many = "x: 1\r\n".repeat(200);
    assert.match(await answerTo(port, [`GET / HTTP/1.1\r\nHost: a\r\n${many}\r\n`]), / 431 /);
    assert.match(await answerTo(port, [`GET / HTTP/1.1\r\nHost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`]), / 431 /);
    assert.match(await answerTo(port, repeated("GET / HTTP/1.1\r\nx: y\r\n".padEnd(1000, "z"), 100_000)), / 4\d\d |closed/);
  });
  await under("a head without end, in CONTINUATION frames", async () => {
    const parts = [frame(1, 0, 1, Buffer.from([0x82])), ...repeated(frame(9, 0, 1, Buffer.alloc(16_000, 0x40)), 10_000)];
    const { send, closed } = connect(port);
    await send(preface());
    for (const part of parts) await send(part);
    await closed;
  });
}

async function bodies(under, { port, url }) {
  await under("slow bodies are told so", async () => {
    async function* slowly() {
      yield `POST /v1/echo HTTP/1.1\r\nHost: a\r\n${KIND}\r\ncontent-length: 100\r\n\r\n{`;
    }
    const answers = await Promise.all(Array.from({ length: 200 }, () => answerTo(port, slowly())));
    answers.forEach((answer) => assert.match(answer, / 408 /));
  });
  await under("a gigabyte to a unary method", async () => {
    const said = `POST /v1/echo HTTP/1.1\r\nHost: a\r\n${KIND}\r\ncontent-length: ${1024 * MIB}\r\n\r\n`;
    assert.match(await answerTo(port, [said]), / 413 /);
    function* unsaid() {
      yield `POST /v1/echo HTTP/1.1\r\nHost: a\r\n${KIND}\r\ntransfer-encoding: chunked\r\n\r\n`;
      yield* repeated(`100000\r\n${" ".repeat(MIB)}\r\n`, 1024);
    }
    const answers = await Promise.all(Array.from({ length: 8 }, () => answerTo(port, unsaid())));
    answers.forEach((answer) => assert.match(answer, / 413 /));
  });
  await under("bombs in gzip and brotli", async () => {
    const zeros = Buffer.alloc(256 * MIB, " ");
    const quickly = { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } };
    const bombs = { gzip: gzipSync(zeros), br: brotliCompressSync(zeros, quickly) };
    for (const [coding, body] of Object.entries(bombs)) {
      for (const [path, kind] of [["/v1/echo", "application/json"], ["/judge.v1.Judge/Echo", "application/json"], ["/judge.v1.Judge/Echo", "application/proto"]]) {
        const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(url + path, { method: "POST", body, headers: { "content-type": kind, "content-encoding": coding } })));
        answers.forEach((answer) => assert.ok([400, 413, 429].includes(answer.status), `${path} ${coding}: ${answer.status}`));
      }
    }
  });
  await under("a gRPC message that claims four gigabytes", async () => {
    const client = http2.connect(url);
    const call = client.request({ ":method": "POST", ":path": "/judge.v1.Judge/Echo", "content-type": "application/grpc", te: "trailers" });
    call.write(Buffer.from([0, 255, 255, 255, 255]));
    call.end(Buffer.alloc(MIB));
    call.on("error", () => {});
    const status = await new Promise((resolve) => {
      call.on("response", (headers) => headers["grpc-status"] && resolve(headers["grpc-status"]));
      call.on("trailers", (trailers) => resolve(trailers["grpc-status"]));
      call.on("close", () => resolve("reset"));
      call.resume();
    });
    assert.ok(["3", "8", "11", "13", "14", "reset"].includes(status), status);
    client.destroy();
  });
}

async function frames(under, { port, url, admin }) {
  await under("rapid resets end the connection", async () => {
    const client = http2.connect(url);
    client.on("error", () => {});
    const over = new Promise((resolve) => ["goaway", "close"].forEach((event) => client.on(event, resolve)));
    for (let round = 0; round < 100 && !client.closed && !client.destroyed; round++) {
      for (let index = 0; index < 100 && !client.closed && !client.destroyed; index++) {
        const call = client.request({ ":path": "/v1/wait/x" });
        call.on("error", () => {});
        call.close(http2.constants.NGHTTP2_CANCEL);
      }
      await new Promise(setImmediate);
    }
    await over;
    client.destroy();
  });
  await under("floods of PING and SETTINGS whose answers nobody reads", async () => {
    for (const [kind, payload] of [[6, Buffer.alloc(8)], [4, Buffer.alloc(0)]]) {
      const { socket } = connect(port);
      socket.pause();
      socket.write(preface());
      const flood = Buffer.concat([...repeated(frame(kind, 0, 0, payload), 10_000)]);
      for (let round = 0; round < 200 && !socket.destroyed; round++) {
        if (!socket.write(flood)) break;
      }
      socket.destroy();
    }
  });
  await under("readers of a stream who do not read", async () => {
    const open = Array.from({ length: 8 }, () => {
      const { socket } = connect(port);
      socket.pause();
      socket.write("GET /v1/notes?count=100000&size=200000 HTTP/1.1\r\nHost: a\r\n\r\n");
      return socket;
    });
    const [{ connections }] = await listeners(admin);
    assert.ok(connections.open >= 8);
    // Whoever takes nothing for as long as a stream may idle is cut.
    await until("they are cut", async () => (await listeners(admin))[0].connections.open < 8);
    open.forEach((socket) => socket.destroy());
  }, 2 * GROWTH);
}

async function sockets(under, { port }) {
  await under("WebSocket: frames and messages beyond the limit", async () => {
    assert.equal(await websocket(port, [{ opcode: 1, fin: true, length: 1n << 40n, data: Buffer.alloc(MIB) }]), 1009);
    const pieces = [{ opcode: 1, fin: false, data: Buffer.alloc(MIB / 2, " ") }, ...repeated({ opcode: 0, fin: false, data: Buffer.alloc(MIB / 2, " ") }, 100)];
    assert.equal(await websocket(port, pieces), 1009);
  });
  await under("WebSocket: unmasked, reserved and torn frames", async () => {
    assert.equal(await websocket(port, [{ opcode: 1, fin: true, masked: false, data: Buffer.from("{}") }]), 1002);
    assert.equal(await websocket(port, [{ opcode: 3, fin: true, data: Buffer.from("{}") }]), 1002);
    assert.equal(await websocket(port, [{ opcode: 9, fin: false, data: Buffer.from("x") }]), 1002);
    assert.equal(await websocket(port, [{ opcode: 1, fin: true, data: Buffer.from([0xff]) }]), 1007);
  });
}

// Opens so many from several addresses; all are held at once.
async function idle(port) {
  const open = [];
  const count = 9_900;
  try {
    while (open.length < count) {
      const some = Array.from({ length: Math.min(100, count - open.length) }, (_, index) =>
        net.connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${2 + (index % 20)}` }));
      open.push(...some);
      await Promise.all(some.map(async (socket) => {
        await once(socket, "connect");
        socket.on("error", () => {});
        socket.write("GET /v1/notes/x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1.1 200/);
      }));
    }
  } finally {
    open.forEach((socket) => socket.destroy());
  }
}
