// @grpc/grpc-js: native gRPC through the edge.
import assert from "node:assert/strict";
import grpc from "@grpc/grpc-js";
import { until } from "./harness.mjs";

const call = (client, method, request, metadata = new grpc.Metadata(), options = {}) =>
  new Promise((resolve, reject) => {
    const got = {};
    const pending = client[method](request, metadata, options, (error, reply) => (error ? reject(error) : (got.reply = reply)));
    pending.on("metadata", (leading) => (got.leading = leading));
    pending.on("status", (status) => status.code === 0 && resolve({ ...got, trailing: status.metadata }));
  });

const collected = (stream) =>
  new Promise((resolve) => {
    const notes = [];
    stream.on("data", (note) => notes.push(note.text));
    stream.on("error", (error) => resolve({ notes, code: error.code }));
    stream.on("end", () => resolve({ notes, code: 0 }));
  });

export default async function run(check, { port, loaded }) {
  const client = new loaded.judge.v1.Judge(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const zipped = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
  const gzip = new loaded.judge.v1.Judge(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), zipped);
  await check("metadata, text and binary", async () => {
    const sent = new grpc.Metadata();
    sent.set("x-sent", "told");
    const { reply, leading, trailing } = await call(client, "Echo", { text: "hello" }, sent);
    assert.equal(reply.text, "hello");
    assert.deepEqual([leading.get("x-leading"), trailing.get("x-trailing")], [["told"], ["told"]]);
  });
  await check("an error with details", () =>
    assert.rejects(call(client, "Fail", {}), (error) => {
      assert.deepEqual([error.code, error.details], [grpc.status.FAILED_PRECONDITION, "asked to fail"]);
      assert.ok(error.metadata.get("grpc-status-details-bin")[0].includes("ASKED"));
      return true;
    }));
  await check("gzip", async () => assert.equal((await call(gzip, "Echo", { text: "z".repeat(100_000) })).reply.text.length, 100_000));
  await check("a deadline", () =>
    assert.rejects(call(client, "Wait", { name: "grpcjs-late" }, undefined, { deadline: Date.now() + 300 }), { code: grpc.status.DEADLINE_EXCEEDED }));
  await check("a stream to its end", async () => assert.equal((await collected(client.List({ count: 1000, size: 1000 }))).notes.length, 1000));
  await check("a stream that fails", async () => {
    const { notes, code } = await collected(client.List({ count: 3, fails: true }));
    assert.deepEqual([notes.length, code], [3, grpc.status.FAILED_PRECONDITION]);
  });
  await check("a conversation", async () => {
    const chat = client.Chat();
    const heard = collected(chat);
    for (const text of ["a", "b", "c"]) chat.write({ text });
    chat.end();
    assert.deepEqual((await heard).notes, ["a", "b", "c"]);
  });
  await check("a cancelled stream of requests", async () => {
    const waiting = client.Wait({ name: "grpcjs" }, () => {});
    waiting.on("error", () => {});
    const ended = () => call(client, "Ended", { name: "grpcjs" }).then(({ reply }) => reply.text ?? "", () => undefined);
    await until("it waits", async () => (await ended()) !== undefined);
    waiting.cancel();
    await until("it is cancelled", async () => (await ended()) === "cancelled");
  });
  await check("a method that does not exist", () =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest("/judge.v1.Judge/Nothing", (value) => value, (value) => value, Buffer.alloc(0), (error) =>
        error?.code === grpc.status.UNIMPLEMENTED ? resolve() : reject(error ?? new Error("it was answered")))));
  client.close();
  gzip.close();
}
