// grpc-web (Google's) in text and binary form over an XMLHttpRequest, and nice-grpc-web over fetch.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

const require = createRequire(import.meta.url);
globalThis.XMLHttpRequest = require("xhr2");
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");
const { createChannel, createClient, ClientError, Status, Metadata } = require("nice-grpc-web");

const FAILED_PRECONDITION = 9;

function codec(types, name) {
  const schema = types.getMessage(`judge.v1.${name}`);
  return { make: (init) => create(schema, init), write: (value) => toBinary(schema, value), read: (bytes) => fromBinary(schema, new Uint8Array(bytes)) };
}

function googles(check, { url, types }, format) {
  const client = new GrpcWebClientBase({ format });
  const [note, count] = [codec(types, "Note"), codec(types, "Count")];
  const method = (name, type, input) =>
    new MethodDescriptor(`/judge.v1.Judge/${name}`, type, Object, Object, (value) => input.write(value), (bytes) => note.read(bytes));
  const unary = (name, input, request, metadata = {}) =>
    new Promise((resolve, reject) =>
      client.rpcCall(`${url}/judge.v1.Judge/${name}`, input.make(request), metadata, method(name, MethodType.UNARY, input), (error, reply) => (error ? reject(error) : resolve(reply))));
  const listed = (request) =>
    new Promise((resolve) => {
      const notes = [];
      const stream = client.serverStreaming(`${url}/judge.v1.Judge/List`, count.make(request), {}, method("List", MethodType.SERVER_STREAMING, count));
      stream.on("data", (each) => notes.push(each));
      stream.on("error", (error) => resolve({ notes: notes.length, code: error.code }));
      stream.on("end", () => resolve({ notes: notes.length, code: 0 }));
    });
  return [
    ["a call", async () => {
      const sent = { text: "grüße 😀", data: new Uint8Array([0, 255]), big: 9007199254740993n };
      assert.deepEqual(await unary("Echo", note, sent), note.make(sent));
    }],
    ["an error", () => assert.rejects(unary("Fail", count, {}), (error) => {
      assert.deepEqual([error.code, error.message], [FAILED_PRECONDITION, "asked to fail"]);
      return true;
    })],
    // The client reads a stream in text form only.
    ...(format === "text" ? [
      ["a stream to its end", async () => assert.deepEqual(await listed({ count: 50, size: 100 }), { notes: 50, code: 0 })],
      ["a stream that fails", async () => assert.deepEqual(await listed({ count: 3, fails: true }), { notes: 3, code: FAILED_PRECONDITION })],
    ] : []),
  ].map(([what, ask]) => check(`grpc-web, ${format}: ${what}`, ask));
}

async function nice(check, { url, types }) {
  const [note, count] = [codec(types, "Note"), codec(types, "Count")];
  const method = (name, input, responseStream) => ({
    path: `/judge.v1.Judge/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: (value) => input.write(input.make(value)),
    requestDeserialize: input.read,
    responseSerialize: note.write,
    responseDeserialize: note.read,
    options: {},
  });
  const definition = { echo: method("Echo", note, false), fail: method("Fail", count, false), list: method("List", count, true) };
  const client = createClient(definition, createChannel(url));
  await check("nice-grpc-web: a call with metadata", async () => {
    const got = {};
    const options = { metadata: Metadata({ "x-sent": "told" }), onHeader: (header) => (got.leading = header.get("x-leading")), onTrailer: (trailer) => (got.trailing = trailer.get("x-trailing")) };
    assert.equal((await client.echo({ text: "hello" }, options)).text, "hello");
    assert.deepEqual(got, { leading: "told", trailing: "told" });
  });
  await check("nice-grpc-web: an error", () => assert.rejects(client.fail({}), (error) => error instanceof ClientError && error.code === Status.FAILED_PRECONDITION));
  await check("nice-grpc-web: a stream that fails", async () => {
    let seen = 0;
    const read = async () => {
      for await (const _ of client.list({ count: 4, fails: true })) seen += 1;
    };
    await assert.rejects(read(), (error) => error.code === Status.FAILED_PRECONDITION);
    assert.equal(seen, 4);
  });
}

export default async function run(check, world) {
  for (const format of ["text", "binary"]) await Promise.all(googles(check, world, format));
  await nice(check, world);
}
