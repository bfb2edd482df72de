// WebSocket by `ws`, server-sent events by `eventsource`, and fetch with its streams: what browsers do.
import assert from "node:assert/strict";
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { until } from "./harness.mjs";

// All frames of a socket until it closes.
function talk(url, frames, protocols = []) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols);
    const heard = [];
    socket.on("open", () => frames.forEach((frame) => socket.send(frame)));
    socket.on("message", (data) => heard.push(JSON.parse(data)));
    socket.on("close", (code) => resolve({ heard, code }));
    socket.on("error", reject);
  });
}

async function sockets(check, { port }) {
  const url = `ws://127.0.0.1:${port}`;
  await check("WebSocket: a conversation", async () => {
    const { heard, code } = await talk(`${url}/v1/chat`, ['{"text":"a"}', '{"text":"b","big":"9007199254740993"}', ""]);
    assert.deepEqual(heard, [{ text: "a" }, { text: "b", big: "9007199254740993" }]);
    assert.equal(code, 1000);
  });
  await check("WebSocket: a server stream to its end and one that fails", async () => {
    const good = await talk(`${url}/v1/notes?count=20`, []);
    assert.deepEqual([good.heard.length, good.code], [20, 1000]);
    const bad = await talk(`${url}/v1/notes?count=2&fails=true`, []);
    assert.equal(bad.heard.at(-1).error.status, "FAILED_PRECONDITION");
    assert.equal(bad.heard.length, 3);
    assert.notEqual(bad.code, 1000);
  });
  await check("WebSocket: a message that cannot be read", async () => {
    const { heard, code } = await talk(`${url}/v1/chat`, ['{"unknown":1}']);
    assert.equal(heard.at(-1).error.status, "INVALID_ARGUMENT");
    assert.notEqual(code, 1000);
  });
  await check("WebSocket: fragments, deflate refused or right, pings", async () => {
    const socket = new WebSocket(`${url}/v1/chat`, { perMessageDeflate: true });
    await new Promise((resolve) => socket.once("open", resolve));
    const pong = new Promise((resolve) => socket.once("pong", resolve));
    socket.ping("hello");
    assert.equal(String(await pong), "hello");
    const heard = new Promise((resolve) => socket.once("message", resolve));
    socket.send('{"te', { fin: false });
    socket.send('xt":"in pieces"}', { fin: true });
    assert.deepEqual(JSON.parse(await heard), { text: "in pieces" });
    socket.close();
  });
}

async function events(check, { url }) {
  await check("EventSource: events to the end, without a second connection", async () => {
    const source = new EventSource(`${url}/v1/notes?count=5`);
    const notes = [];
    await new Promise((resolve, reject) => {
      source.onmessage = (event) => notes.push(JSON.parse(event.data));
      source.addEventListener("end", resolve);
      source.onerror = () => (source.readyState === EventSource.CLOSED || notes.length === 5 ? resolve() : reject(new Error("it broke")));
    });
    source.close();
    assert.deepEqual(notes.map((note) => note.name), [0, 1, 2, 3, 4].map((index) => `notes/${index}`));
  });
  await check("fetch: NDJSON and a JSON array; a broken one is told", async () => {
    const lines = await (await fetch(`${url}/v1/notes?count=3`, { headers: { accept: "application/x-ndjson" } })).text();
    assert.equal(lines.trim().split("\n").map((line) => JSON.parse(line)).length, 3);
    assert.equal((await (await fetch(`${url}/v1/notes?count=3`)).json()).length, 3);
    const broken = await fetch(`${url}/v1/notes?count=3&fails=true`).then((answer) => answer.text()).catch(() => "broken off");
    const told = broken === "broken off" || JSON.parse(broken).at(-1).error?.status === "FAILED_PRECONDITION";
    assert.ok(told, broken);
  });
  await check("fetch: a client that leaves cancels the call", async () => {
    const stop = new AbortController();
    const waiting = fetch(`${url}/v1/wait/fetch`, { signal: stop.signal }).catch(() => "left");
    const ended = async () => (await (await fetch(`${url}/v1/ended/fetch`)).json()).text ?? "";
    await until("it waits", async () => (await fetch(`${url}/v1/ended/fetch`)).ok);
    stop.abort();
    assert.equal(await waiting, "left");
    await until("it is cancelled", async () => (await ended()) === "cancelled");
  });
  await check("fetch: a browser's preflight", async () => {
    const headers = { origin: "http://app.example", "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const answer = await fetch(`${url}/v1/echo`, { method: "OPTIONS", headers });
    assert.equal(answer.headers.get("access-control-allow-origin"), "http://app.example");
  });
}

export default async function run(check, world) {
  await sockets(check, world);
  await events(check, world);
}
