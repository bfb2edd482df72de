// The upstreams of the judges, by grpc-js: the judge service, and a Secret Manager that keeps its secrets in memory.
// What must hold: they see only what the edge sends, and say it back truthfully (metadata, cancellation).
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createRequire } from "node:module";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const OPTIONS = { longs: String, enums: String, bytes: Buffer, defaults: false, oneofs: true };

// The registry of a descriptor set in a file's bytes.
export const registry = (set) => createFileRegistry(fromBinary(FileDescriptorSetSchema, set));

// A failure with google.rpc.Status in grpc-status-details-bin.
export function failure(types, message = "asked to fail", code = grpc.status.FAILED_PRECONDITION) {
  const info = types.getMessage("google.rpc.ErrorInfo");
  const detail = create(info, { reason: "ASKED", domain: "judge", metadata: { why: "test" } });
  const status = create(types.getMessage("google.rpc.Status"), {
    code,
    message,
    details: [{ typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: toBinary(info, detail) }],
  });
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(types.getMessage("google.rpc.Status"), status)));
  return { code, details: message, metadata };
}

function judge(types) {
  const ended = new Map();
  // What came as x-sent goes back in leading and in trailing metadata.
  const trailers = (call) => {
    const [sent] = call.metadata.get("x-sent");
    const leading = new grpc.Metadata();
    const trailing = new grpc.Metadata();
    if (sent) {
      leading.set("x-leading", sent);
      trailing.set("x-trailing", sent);
    }
    call.sendMetadata(leading);
    return trailing;
  };
  const note = (index, size) => ({ name: `notes/${index}`, text: "x".repeat(size), big: String(index) });
  return {
    Echo: (call, done) => done(null, call.request, trailers(call)),
    Fail: (_, done) => done(failure(types)),
    async List(call) {
      const { count = 0, fails, size = 0 } = call.request;
      const trailing = trailers(call);
      const left = new Promise((resolve) => call.once("cancelled", resolve));
      for (let index = 0; index < count && !call.cancelled; index++) {
        // Only as fast as the edge takes it.
        if (!call.write(note(index, size))) await Promise.race([new Promise((resolve) => call.once("drain", resolve)), left]);
      }
      if (call.cancelled) return;
      if (fails) call.emit("error", failure(types));
      else call.end(trailing);
    },
    Collect(call, done) {
      const texts = [];
      call.on("data", (each) => texts.push(each.text ?? ""));
      call.on("end", () => done(null, { text: texts.join("") }, trailers(call)));
    },
    Chat(call) {
      call.on("data", (each) => call.write(each));
      call.on("end", () => call.end());
    },
    Wait(call) {
      ended.set(call.request.name, "");
      call.on("cancelled", () => ended.set(call.request.name, "cancelled"));
    },
    Ended: (call, done) =>
      ended.has(call.request.name)
        ? done(null, { text: ended.get(call.request.name) })
        : done({ code: grpc.status.NOT_FOUND, details: "no such wait" }),
  };
}

function secrets(types) {
  const known = new Map();
  const missing = { code: grpc.status.NOT_FOUND, details: "there is no such secret" };
  return {
    CreateSecret(call, done) {
      const name = `${call.request.parent}/secrets/${call.request.secretId}`;
      if (known.has(name)) return done({ code: grpc.status.ALREADY_EXISTS, details: "it is there" });
      known.set(name, { ...call.request.secret, name, versions: [] });
      done(null, known.get(name));
    },
    GetSecret(call, done) {
      // A secret that is named after a code is answered with it.
      const [, code] = /\/secrets\/code-(\d+)$/.exec(call.request.name) ?? [];
      if (code) return done(failure(types, `asked for ${code}`, Number(code)));
      known.has(call.request.name) ? done(null, known.get(call.request.name)) : done(missing);
    },
    UpdateSecret(call, done) {
      const { secret, updateMask } = call.request;
      const old = known.get(secret.name);
      if (!old) return done(missing);
      for (const path of updateMask?.paths ?? []) old[path] = secret[path];
      done(null, old);
    },
    ListSecrets(call, done) {
      const { parent, pageSize, pageToken } = call.request;
      const all = [...known.values()].filter((secret) => secret.name.startsWith(`${parent}/`));
      const from = Number(pageToken || 0);
      const to = from + (pageSize || 2);
      done(null, { secrets: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "", totalSize: all.length });
    },
    AddSecretVersion(call, done) {
      const secret = known.get(call.request.parent);
      if (!secret) return done(missing);
      secret.versions.push(call.request.payload.data);
      done(null, { name: `${secret.name}/versions/${secret.versions.length}`, state: "ENABLED" });
    },
    AccessSecretVersion(call, done) {
      const [, name, version] = /^(.*)\/versions\/(\d+)$/.exec(call.request.name) ?? [];
      const data = known.get(name)?.versions[Number(version) - 1];
      data ? done(null, { name: call.request.name, payload: { data } }) : done(missing);
    },
    DeleteSecret: (call, done) => (known.delete(call.request.name) ? done(null, {}) : done(missing)),
  };
}

// Starts both on one port; gives it and a way to stop.
export async function start(set) {
  const types = registry(set);
  const server = new grpc.Server({ "grpc.max_receive_message_length": 16 << 20 });
  const loaded = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(set, OPTIONS));
  server.addService(loaded.judge.v1.Judge.service, judge(types));
  const protos = createRequire(import.meta.url)("@google-cloud/secret-manager/build/protos/protos.json");
  const google = grpc.loadPackageDefinition(loader.fromJSON(protos, OPTIONS)).google.cloud.secretmanager.v1;
  server.addService(google.SecretManagerService.service, secrets(types));
  const bind = (resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  const port = await new Promise(bind);
  return { port, types, loaded, stop: () => server.forceShutdown() };
}
