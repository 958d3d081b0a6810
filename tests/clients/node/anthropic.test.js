// The official Anthropic SDK (Node), unchanged: only the base URL and the key are ours.

"use strict";

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const Anthropic = require("@anthropic-ai/sdk");

const { startWorld, meetTroubles, failureOf, gather } = require("./world.js");

const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ name: "get_weather", description: "The weather in a city", input_schema: SCHEMA }];
const TYPES = {
  400: Anthropic.BadRequestError,
  401: Anthropic.AuthenticationError,
  403: Anthropic.PermissionDeniedError,
  404: Anthropic.NotFoundError,
  409: Anthropic.ConflictError,
  422: Anthropic.UnprocessableEntityError,
  429: Anthropic.RateLimitError,
};

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

function client(key = world.key, settings = {}) {
  // This SDK's base URL goes without the /v1.
  return new Anthropic({ baseURL: world.url, apiKey: key, maxRetries: 0, ...settings });
}

function asked({ model = "acme/chat", text = "Say hello.", maxTokens = 100, ...more } = {}) {
  return { model, max_tokens: maxTokens, messages: [{ role: "user", content: text }], ...more };
}

const create = ({ key, ...changes } = {}) => client(key).messages.create(asked(changes));
const streamed = async (changes) => gather(await create({ stream: true, ...changes }));

function checkError(error, trouble) {
  const type = TYPES[trouble.status] ?? (trouble.status < 500 ? Anthropic.APIError : Anthropic.InternalServerError);
  assert.ok(error instanceof type, String(error));
  assert.deepEqual([error.status, error.error.error.code], [trouble.status, trouble.code]);
  assert.ok(error.error.error.message);
}

describe("messages", () => {
  test("a whole answer", async () => {
    const answer = await create();
    assert.deepEqual([answer.model, answer.stop_reason], ["acme/chat", "end_turn"]);
    assert.ok(answer.content[0].text);
    assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [10, 9]);
  });

  test("the key as a bearer token", async () => {
    const bearer = new Anthropic({ baseURL: world.url, authToken: world.key, apiKey: null, maxRetries: 0 });
    assert.equal((await bearer.messages.create(asked())).model, "acme/chat");
  });

  test("a streamed answer", async () => {
    const events = await streamed();
    assert.deepEqual([events[0].type, events.at(-1).type], ["message_start", "message_stop"]);
    assert.equal(events[0].message.model, "acme/chat");
  });

  test("the stream helper gathers the whole answer", async () => {
    const answer = await client().messages.stream(asked()).finalMessage();
    assert.deepEqual([answer.model, answer.usage.output_tokens], ["acme/chat", 9]);
    assert.equal(answer.content[0].text, (await create()).content[0].text);
  });

  test("tools, whole and streamed", async () => {
    const whole = (await create({ tools: TOOLS })).content.at(-1);
    assert.deepEqual([whole.type, whole.name], ["tool_use", "get_weather"]);
    const answer = await client().messages.stream(asked({ tools: TOOLS })).finalMessage();
    assert.equal(answer.stop_reason, "tool_use");
    assert.deepEqual(answer.content.at(-1).input, whole.input);
  });

  test("tokens are counted", async () => {
    const { max_tokens: _, ...question } = asked();
    assert.ok((await client().messages.countTokens(question)).input_tokens > 0);
  });
});

describe("errors", () => {
  test("each error of a whole call has its type", (t) => meetTroubles(t, world, create, checkError));
  test("each error of a streamed call has its type", (t) => meetTroubles(t, world, streamed, checkError));

  test("a stream that breaks off is an error", async () => {
    const error = await failureOf(() => streamed({ model: "acme/breaks" }));
    assert.ok(error instanceof Anthropic.APIError);
    assert.equal(error.error.error.code, "upstream_unavailable");
  });
});

describe("the client's own retries", () => {
  // How many calls went to the gateway for one call of the program.
  async function callsMade(key, model) {
    let calls = 0;
    const counted = (...args) => (calls++, fetch(...args));
    const answer = await client(key, { maxRetries: 1, fetch: counted }).messages.create(asked({ model }));
    assert.equal(answer.model, model);
    return calls;
  }

  test("a refusal is waited for as told", async () => {
    const { key } = await world.oneCallPer("SECOND");
    const calls = [await callsMade(key, "acme/chat"), await callsMade(key, "acme/chat")];
    assert.ok(calls.includes(2), "no call was refused and waited for");
  });

  test("an upstream that is unavailable is tried again", async () => {
    assert.equal(await callsMade(world.key, "acme/flaky"), 2);
  });
});
