// Frames by hand, for clients that break the rules of HTTP/2 (RFC 9113) and WebSocket (RFC 6455).
import { randomBytes } from "node:crypto";
import net from "node:net";

// A connection; `send` waits until the other side takes more, or has closed.
export function connect(port) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const send = async (piece) => {
    if (socket.destroyed || socket.write(piece)) return;
    await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
  };
  return { socket, send, closed };
}

// One frame of HTTP/2.
export function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

// What a connection of HTTP/2 begins with.
export const preface = () => Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, Buffer.alloc(0))]);

function socketFrame({ opcode, fin, masked = true, data, length = BigInt(data.length) }) {
  const head = Buffer.alloc(10);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = (masked ? 0x80 : 0) | 127;
  head.writeBigUInt64BE(length, 2);
  if (!masked) return Buffer.concat([head, data]);
  // A mask of zeros leaves the data as it is.
  return Buffer.concat([head, Buffer.alloc(4), data]);
}

// Opens a conversation, writes these frames and gives the code by which the edge closed.
export async function websocket(port, frames) {
  const { socket, send, closed } = connect(port);
  const heard = [];
  socket.on("data", (data) => heard.push(data));
  const key = randomBytes(16).toString("base64");
  socket.write(`GET /v1/chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`);
  while (!Buffer.concat(heard).includes("\r\n\r\n")) await new Promise((resolve) => socket.once("data", resolve));
  for (const each of frames) await send(socketFrame(each));
  await closed;
  return closeCode(Buffer.concat(heard));
}

// The code of the first close frame behind the head of the answer.
function closeCode(bytes) {
  let at = bytes.indexOf("\r\n\r\n") + 4;
  while (at + 2 <= bytes.length) {
    const [opcode, short] = [bytes[at] & 0x0f, bytes[at + 1] & 0x7f];
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const length = extra === 2 ? bytes.readUInt16BE(at + 2) : extra === 8 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
    if (opcode === 8) return bytes.readUInt16BE(at + 2 + extra);
    at += 2 + extra + length;
  }
  return undefined;
}
