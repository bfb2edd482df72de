// @connectrpc/connect: Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2, protobuf and JSON.
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import { until } from "./harness.mjs";

const full = {
  name: "notes/1",
  text: 'ünïcödé "quoted" \u0000 \u2028 😀',
  data: new Uint8Array([0, 1, 254, 255]),
  big: 9007199254740993n,
  ratio: -1.5e-300,
  labels: { a: "b", "": "empty" },
  numbers: [1, -2, 2147483647],
  kind: 1,
  time: timestampFromDate(new Date("2026-01-31T09:30:00.123Z")),
  flag: false,
  inner: { text: "within" },
};

function transports({ url }) {
  const http2 = { baseUrl: url, httpVersion: "2" };
  const http1 = { baseUrl: url, httpVersion: "1.1" };
  return {
    "Connect, HTTP/2": createConnectTransport(http2),
    "Connect, HTTP/2, JSON, gzip": createConnectTransport({ ...http2, useBinaryFormat: false, compressMinBytes: 1 }),
    "Connect, HTTP/1.1, GET": createConnectTransport({ ...http1, useHttpGet: true }),
    "gRPC, HTTP/2": createGrpcTransport(http2),
    "gRPC-Web, HTTP/1.1": createGrpcWebTransport(http1),
    "gRPC-Web, HTTP/2": createGrpcWebTransport(http2),
    "Connect, fetch": web.createConnectTransport({ baseUrl: url }),
    "gRPC-Web, fetch": web.createGrpcWebTransport({ baseUrl: url }),
  };
}

const refused = (code) => (error) => {
  assert.ok(error instanceof ConnectError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

// Whether requests can be streams, and answers beside them.
const streamsUp = (name) => !name.includes("fetch");
const streamsBoth = (name) => name.includes("HTTP/2");

export default async function run(check, world) {
  const service = world.types.getService("judge.v1.Judge");
  const note = service.methods.find((method) => method.name === "Echo").input;
  const info = world.types.getMessage("google.rpc.ErrorInfo");
  for (const [name, transport] of Object.entries(transports(world))) {
    const client = createClient(service, transport);
    const ask = (what, how) => check(`${name}: ${what}`, how);
    await ask("every kind of value", async () => {
      assert.deepEqual(await client.echo(full), create(note, full));
    });
    await ask("metadata both ways", async () => {
      const got = {};
      const onHeader = (headers) => (got.leading = headers.get("x-leading"));
      const onTrailer = (trailers) => (got.trailing = trailers.get("x-trailing"));
      await client.echo(full, { headers: { "x-sent": "told" }, onHeader, onTrailer });
      assert.deepEqual(got, { leading: "told", trailing: "told" });
    });
    await ask("an error with details", async () => {
      await assert.rejects(client.fail({}), (error) => {
        refused(Code.FailedPrecondition)(error);
        assert.equal(error.rawMessage, "asked to fail");
        const [detail] = error.findDetails(info);
        assert.deepEqual([detail.reason, detail.metadata], ["ASKED", { why: "test" }]);
        return true;
      });
    });
    await ask("a long message each way", async () => {
      // What travels in the address is bounded as addresses are.
      const text = "megabyte".repeat(name.includes("GET") ? 256 : 131072);
      assert.equal((await client.echo({ text })).text, text);
    });
    await ask("a stream to its end", async () => {
      let count = 0;
      for await (const each of client.list({ count: 500, size: 200 })) assert.equal(each.big, BigInt(count++));
      assert.equal(count, 500);
    });
    await ask("a stream that fails says so after its messages", async () => {
      let count = 0;
      const read = async () => {
        for await (const _ of client.list({ count: 3, fails: true })) count += 1;
      };
      await assert.rejects(read(), refused(Code.FailedPrecondition));
      assert.equal(count, 3);
    });
    await ask("a deadline", async () => {
      await assert.rejects(client.wait({ name: "late" }, { timeoutMs: 300 }), refused(Code.DeadlineExceeded));
    });
    await ask("a cancelled call ends at the upstream", async () => {
      const wait = name.replaceAll(/[^a-zA-Z0-9]/g, "");
      const stop = new AbortController();
      const waiting = assert.rejects(client.wait({ name: wait }, { signal: stop.signal }), refused(Code.Canceled));
      await until("it waits", () => client.ended({ name: wait }).then(() => true, () => false));
      stop.abort();
      await waiting;
      await until("it is cancelled", async () => (await client.ended({ name: wait })).text === "cancelled");
    });
    if (streamsUp(name)) {
      await ask("a stream of requests", async () => {
        async function* texts() {
          for (const text of ["a", "b", "c"]) yield { text };
        }
        assert.equal((await client.collect(texts())).text, "abc");
      });
    }
    if (streamsBoth(name)) {
      await ask("a conversation", async () => {
        let answered;
        async function* texts() {
          for (const text of ["one", "two", "three"]) {
            const heard = new Promise((resolve) => (answered = resolve));
            yield { text };
            await heard;
          }
        }
        const heard = [];
        for await (const each of client.chat(texts())) {
          heard.push(each.text);
          answered();
        }
        assert.deepEqual(heard, ["one", "two", "three"]);
      });
    }
  }
}
