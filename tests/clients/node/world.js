// A gateway and a simulated model server, as a person would start them, for tests of official clients.

"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { once } = require("node:events");

const { startUpstream } = require("./upstream.js");

const BINARIES = path.join(__dirname, "../../../target/debug");
const OPERATOR_KEY = "mgmt_client-tests-0123456789-abcdefgh";
const SETTINGS = {
  TOLLGATE_MANAGEMENT_KEY: OPERATOR_KEY,
  // Small enough for a test to pass it.
  TOLLGATE__SERVER__MAX_BODY_MB: "2",
  TOLLGATE__UPSTREAM__FIRST_BYTE_TIMEOUT: "1s",
  // Receivers of webhooks listen on this machine.
  TOLLGATE__WEBHOOKS__ALLOW_PRIVATE: "true",
};
const TOO_LARGE = "x".repeat((2 << 20) + 1024);
const UPSTREAM_STATUSES = [400, 401, 404, 409, 422, 429, 500, 503, 529];

// Calls that go wrong: the answer, and what is different about the call. `key: "limited"` stands for the key of a
// customer whose limit is used up.
const TROUBLES = [
  { status: 400, code: "invalid_request", call: { maxTokens: -1 } },
  { status: 401, code: "invalid_api_key", call: { key: "sky_nobody.nothing" } },
  { status: 403, code: "model_not_allowed", call: { model: "acme/secret" } },
  { status: 404, code: "model_not_found", call: { model: "acme/gone" } },
  { status: 413, code: "request_too_large", call: { text: TOO_LARGE } },
  { status: 429, code: "rate_limit_exceeded", call: { key: "limited" } },
  { status: 502, code: "upstream_unavailable", call: { model: "acme/down" } },
  { status: 502, code: "upstream_refused_credentials", call: { model: "acme/fails-401" } },
  { status: 504, code: "upstream_timeout", call: { model: "acme/slow" } },
  ...UPSTREAM_STATUSES.filter((status) => status !== 401).map((status) => ({
    status,
    code: "out_of_sorts",
    call: { model: `acme/fails-${status}` },
  })),
];

// Starts both programs on free ports of this machine; `close` stops them and removes everything.
async function startWorld() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tollgate-clients-"));
  const model = start("modelsim", ["--call-tools"]);
  const modelUrl = await firstLine(model.stdout, (line) => line);
  const upstream = await startUpstream(modelUrl);
  const gateway = start("tollgate", ["serve", "--listen", "127.0.0.1:0", "--data-dir", dir], SETTINGS);
  const url = `http://${await firstLine(gateway.stderr, addressServed)}`;
  const slugs = ["acme/gone"];
  let customers = 0;

  async function manage(method, route, body) {
    const headers = { authorization: `Bearer ${OPERATOR_KEY}`, "content-type": "application/json" };
    const answer = await fetch(url + route, { method, headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${route}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async function endpoint(slug, baseUrl) {
    const target = { provider: "OPENAI_COMPATIBLE", base_url: baseUrl, target_model: "simulated" };
    await manage("POST", "/v1/gateway/endpoints", { slug, targets: [target] });
    slugs.push(slug);
  }

  await endpoint("acme/chat", modelUrl);
  for (const fault of ["down", "slow", "flaky", "breaks"]) await endpoint(`acme/${fault}`, `${upstream.url}/${fault}`);
  for (const status of UPSTREAM_STATUSES) await endpoint(`acme/fails-${status}`, `${upstream.url}/${status}`);

  // A group that may call every endpoint, acme/chat within these limits: its id and its key.
  async function customer(limits = {}) {
    const group = await manage("POST", "/v1/gateway/groups", {
      metadata: { external_entity_id: `customer-${customers++}` },
      models: slugs.map((slug) => (slug === "acme/chat" ? { slug, ...limits } : { slug })),
      hierarchy: { limit_enforcement: "INDEPENDENT", parent_group_id: null },
    });
    const key = await manage("POST", `/v1/gateway/groups/${group.id}/api_keys`, {});
    return { id: group.id, key: key.api_key };
  }

  return {
    url,
    baseURL: `${url}/v1`,
    key: (await customer()).key,
    manage,
    // A customer with one call of acme/chat per SECOND, MINUTE or DAY.
    oneCallPer: (unit) => {
      const limits = [{ type: "REQUEST", unit, threshold: 1 }];
      return customer(unit === "DAY" ? { usage_limits: limits } : { rate_limits: limits });
    },
    async close() {
      upstream.close();
      await Promise.all([gateway, model].map(stop));
      fs.rmSync(dir, { recursive: true });
    },
  };
}

// Runs into each trouble but those that this call cannot have; each sets one member of `call({ key, model, text,
// maxTokens })`. `check` looks at the error.
async function meetTroubles(t, world, call, check, but = []) {
  for (const trouble of TROUBLES.filter(({ call }) => !but.some((member) => member in call))) {
    await t.test(`${trouble.status} ${trouble.code}`, async () => {
      const changes = { ...trouble.call };
      if (changes.key === "limited") {
        changes.key = (await world.oneCallPer("MINUTE")).key;
        await call(changes);
      }
      check(await failureOf(() => call(changes)), trouble);
    });
  }
}

// What the call throws.
async function failureOf(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("the call should have failed");
}

async function gather(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function start(program, args, settings = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TOLLGATE"));
  const env = { ...Object.fromEntries(inherited), ...settings };
  return spawn(path.join(BINARIES, program), args, { env, stdio: ["ignore", "pipe", "pipe"] });
}

async function stop(program) {
  const ended = once(program, "exit");
  program.kill("SIGTERM");
  await ended;
}

// The first line of which `find` makes something. What comes after is read and dropped, so that the pipe never fills.
function firstLine(stream, find) {
  return new Promise((found, failed) => {
    const lines = readline.createInterface({ input: stream });
    lines.on("line", function look(line) {
      const what = find(line);
      if (!what) return;
      lines.off("line", look);
      found(what);
    });
    lines.on("close", () => failed(new Error("the program ended before it served")));
  });
}

function addressServed(line) {
  const said = JSON.parse(line);
  return said.message === "serving" ? said.addr : undefined;
}

module.exports = { startWorld, meetTroubles, failureOf, gather };
