// What the official SDKs (Node) make of a limit that is used up: they sleep as told and come back once, or give up.
//
// The wait for a MINUTE is real. Both SDKs wait at the same time, in a world of their own.

"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { setTimeout: sleep } = require("node:timers/promises");
const Anthropic = require("@anthropic-ai/sdk");
const OpenAI = require("openai");

const { startWorld, failureOf } = require("./world.js");

const ASKED = { model: "acme/chat", max_tokens: 9, messages: [{ role: "user", content: "Say hello." }] };
// A day whose end is near is waited for, and then it is another day.
const NEAR_MIDNIGHT_MS = 180_000;
// SDKs that are told nothing wait at most so long.
const OWN_ACCORD_MS = 8_000;

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

// A client's call, and the answers that it got from the gateway: each with the time when it was asked for and came.
function openai(key) {
  const { seen, fetch } = watched();
  const client = new OpenAI({ baseURL: world.baseURL, apiKey: key, maxRetries: 2, fetch });
  return { seen, call: () => client.chat.completions.create(ASKED) };
}

function anthropic(key) {
  const { seen, fetch } = watched();
  const client = new Anthropic({ baseURL: world.url, apiKey: key, maxRetries: 2, fetch });
  return { seen, call: () => client.messages.create(ASKED) };
}

function watched() {
  const seen = [];
  const watching = async (...args) => {
    const asked = performance.now();
    const answer = await fetch(...args);
    seen.push({ status: answer.status, headers: answer.headers, asked, came: performance.now() });
    return answer;
  };
  return { seen, fetch: watching };
}

test("a used up minute is slept out as told, and the first retry succeeds", async () => {
  const waiting = [openai, anthropic].map(async (make) => {
    const { seen, call } = make((await world.oneCallPer("MINUTE")).key);
    await call();
    await call();
    return seen;
  });
  for (const seen of await Promise.all(waiting)) {
    assert.deepEqual(seen.map(({ status }) => status), [200, 429, 200]);
    const [, refused, retried] = seen;
    const waitMs = Number(refused.headers.get("retry-after-ms"));
    assert.ok(waitMs > OWN_ACCORD_MS && waitMs <= 60_000, String(waitMs));
    assert.equal(Number(refused.headers.get("retry-after")), Math.ceil(waitMs / 1000));
    assert.equal(refused.headers.get("x-should-retry"), null);
    assert.ok(retried.asked - refused.came >= waitMs - 50, "it came back too early");
  }
});

test("a used up day is not asked for again", async () => {
  await restOfTheDay();
  for (const make of [openai, anthropic]) {
    const { seen, call } = make((await world.oneCallPer("DAY")).key);
    await call();
    const refused = await failureOf(call);
    assert.equal(refused.status, 429);
    assert.deepEqual(seen.map(({ status }) => status), [200, 429], "one request for the second call");
    assert.equal(refused.headers.get("x-should-retry"), "false");
    assert.ok(Number(refused.headers.get("retry-after")) > 120);
  }
});

// Resolves when there is enough left of the present UTC day.
async function restOfTheDay() {
  const left = 86_400_000 - (Date.now() % 86_400_000);
  if (left < NEAR_MIDNIGHT_MS) await sleep(left + 1_000);
}
