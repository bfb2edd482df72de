// docs/signin.md: the code of the page itself, with this platform's address and the client that the page's request has registered.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as client from "openid-client";

const world = JSON.parse(process.env.WORLD);
let checks = 0;
const equal = (found, wanted) => {
  checks += 1;
  assert.equal(found, wanted);
};
const browse = (url) => {
  const [program, script] = world.browser;
  return execFileSync(program, [script, world.cookies, String(url), ...world.person], { encoding: "utf8" }).trim();
};

const [, code] = world.page.match(/```js\n(.*?)```/s);
const [first, ...rest] = code.replaceAll("http://localhost:8080", world.issuer).split("\n");
equal(first, 'import * as client from "openid-client";');
const [begin, end] = rest.join("\n").split("// At your redirect URI:");
const AsyncFunction = (async () => {}).constructor;
const run = new AsyncFunction(
  "client", "CLIENT_ID", "CLIENT_SECRET", "browse", `${begin}\nconst currentUrl = new URL(browse(link));\n${end}\nreturn email;`);
equal(await run(client, world.told.id, world.told.secret, browse), world.person[0]);
console.log(`${checks} checks`);
