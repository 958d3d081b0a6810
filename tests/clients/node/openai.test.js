// The official OpenAI SDK (Node), unchanged: only the base URL and the key are ours.

"use strict";

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const OpenAI = require("openai");

const { startWorld, meetTroubles, failureOf, gather } = require("./world.js");

const MESSAGES = [{ role: "user", content: "Say hello." }];
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const WEATHER = { name: "get_weather", description: "The weather in a city", parameters: CITY };
const TOOLS = [{ type: "function", function: WEATHER }];
const TYPES = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError,
  409: OpenAI.ConflictError,
  413: OpenAI.APIError,
  422: OpenAI.UnprocessableEntityError,
  429: OpenAI.RateLimitError,
};

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

function client(key = world.key, settings = {}) {
  return new OpenAI({ baseURL: world.baseURL, apiKey: key, maxRetries: 0, ...settings });
}

function chat({ key, model = "acme/chat", text = "Say hello.", maxTokens, ...more } = {}) {
  const messages = [{ role: "user", content: text }];
  return client(key).chat.completions.create({ model, messages, max_tokens: maxTokens, ...more });
}

async function streamedChat(changes) {
  return gather(await chat({ stream: true, ...changes }));
}

function checkError(error, trouble) {
  assert.equal(error.constructor, TYPES[trouble.status] ?? OpenAI.InternalServerError, String(error));
  assert.deepEqual([error.status, error.code], [trouble.status, trouble.code]);
  assert.ok(error.error.message);
  assert.ok(error.requestID);
}

describe("chat", () => {
  test("a whole answer", async () => {
    const answer = await chat();
    assert.equal(answer.model, "acme/chat");
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [10, 9]);
  });

  test("a streamed answer", async () => {
    const chunks = await streamedChat();
    assert.ok(chunks.every((chunk) => chunk.model === "acme/chat"));
    assert.ok(chunks.every((chunk) => !chunk.usage), "usage was not asked for");
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    assert.equal(text, (await chat()).choices[0].message.content);
  });

  test("a streamed answer with its usage", async () => {
    const chunks = await streamedChat({ stream_options: { include_usage: true } });
    const last = chunks.at(-1);
    assert.deepEqual([last.choices, last.usage.total_tokens], [[], 19]);
  });

  test("the stream helper gathers the whole answer", async () => {
    const stream = client().chat.completions.stream({ model: "acme/chat", messages: MESSAGES });
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.model, "acme/chat");
    assert.equal(answer.choices[0].message.content, (await chat()).choices[0].message.content);
  });

  test("tools", async () => {
    const answer = await chat({ tools: TOOLS });
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    const call = answer.choices[0].message.tool_calls[0].function;
    assert.equal(call.name, "get_weather");
    assert.ok(JSON.parse(call.arguments));
  });

  test("streamed tools", async () => {
    const chunks = await streamedChat({ tools: TOOLS });
    const calls = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
    assert.equal(calls[0].function.name, "get_weather");
    assert.ok(JSON.parse(calls.map((call) => call.function.arguments ?? "").join("")));
  });
});

test("models are listed and retrieved", async () => {
  const listed = (await gather(client().models.list())).map((model) => model.id);
  assert.ok(listed.includes("acme/chat"));
  assert.ok(!listed.includes("acme/gone"), "it has no endpoint");
  assert.equal((await client().models.retrieve("acme/chat")).id, "acme/chat");
});

describe("completions", () => {
  const complete = ({ key, model = "acme/chat", text = "Once upon", maxTokens, ...more } = {}) =>
    client(key).completions.create({ model, prompt: text, max_tokens: maxTokens, ...more });
  const streamed = async (changes) => gather(await complete({ stream: true, ...changes }));

  test("a whole answer", async () => {
    const answer = await complete();
    assert.deepEqual([answer.model, answer.usage.total_tokens], ["acme/chat", 19]);
    assert.ok(answer.choices[0].text);
  });

  test("a streamed answer with its usage", async () => {
    const chunks = await streamed({ stream_options: { include_usage: true } });
    const text = chunks.map((chunk) => chunk.choices[0]?.text ?? "").join("");
    assert.equal(text, (await complete()).choices[0].text);
    assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.total_tokens], [[], 19]);
  });

  test("each error has its type", async (t) => {
    await meetTroubles(t, world, complete, checkError);
    await meetTroubles(t, world, streamed, checkError);
  });
});

describe("embeddings", () => {
  const embed = ({ key, model = "acme/chat", text = "hello", ...more } = {}) =>
    client(key).embeddings.create({ model, input: text, ...more });

  test("as the SDK asks by default", async () => {
    const answer = await embed();
    assert.deepEqual([answer.model, answer.usage.prompt_tokens], ["acme/chat", 10]);
    assert.ok(answer.data[0].embedding.every((number) => typeof number === "number"));
  });

  test("as numbers and as base64", async () => {
    const numbers = (await embed({ encoding_format: "float" })).data[0].embedding;
    assert.equal(numbers.length, (await embed()).data[0].embedding.length);
    assert.equal(typeof (await embed({ encoding_format: "base64" })).data[0].embedding, "string");
  });

  test("each error has its type", (t) => meetTroubles(t, world, embed, checkError, ["maxTokens"]));
});

describe("responses", () => {
  const TOOL = { type: "function", ...WEATHER };
  const respond = ({ key, model = "acme/chat", text = "Say hello.", maxTokens, ...more } = {}) =>
    client(key).responses.create({ model, input: text, max_output_tokens: maxTokens, ...more });
  const streamed = async (changes) => gather(await respond({ stream: true, ...changes }));

  test("a whole answer", async () => {
    const answer = await respond();
    assert.deepEqual([answer.model, answer.status], ["acme/chat", "completed"]);
    assert.ok(answer.output_text);
    assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [10, 9]);
  });

  test("a streamed answer", async () => {
    const events = await streamed();
    assert.deepEqual([events[0].type, events.at(-1).type], ["response.created", "response.completed"]);
    assert.equal(events.at(-1).response.model, "acme/chat");
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    assert.equal(deltas.map((event) => event.delta).join(""), (await respond()).output_text);
    assert.equal(events.at(-1).response.usage.total_tokens, 19);
  });

  test("the stream helper gathers the whole answer", async () => {
    const answer = await client().responses.stream({ model: "acme/chat", input: "Say hello." }).finalResponse();
    assert.deepEqual([answer.model, answer.usage.total_tokens], ["acme/chat", 19]);
    assert.equal(answer.output_text, (await respond()).output_text);
  });

  test("tools", async () => {
    const [call] = (await respond({ tools: [TOOL] })).output;
    assert.deepEqual([call.type, call.name], ["function_call", "get_weather"]);
    assert.ok(JSON.parse(call.arguments));
  });

  test("streamed tools", async () => {
    const events = await streamed({ tools: [TOOL] });
    const deltas = events.filter((event) => event.type === "response.function_call_arguments.delta");
    const [call] = events.at(-1).response.output;
    assert.deepEqual([call.name, call.arguments], ["get_weather", deltas.map((event) => event.delta).join("")]);
  });

  test("each error has its type", async (t) => {
    await meetTroubles(t, world, respond, checkError);
    await meetTroubles(t, world, streamed, checkError);
  });

  test("a stream that breaks off is an error", async () => {
    const error = await failureOf(() => streamed({ model: "acme/breaks" }));
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.code, "upstream_unavailable");
  });
});

describe("errors", () => {
  test("each error of a whole call has its type", (t) => meetTroubles(t, world, chat, checkError));
  test("each error of a streamed call has its type", (t) => meetTroubles(t, world, streamedChat, checkError));

  test("a refusal explains itself", async () => {
    const { id, key } = await world.oneCallPer("MINUTE");
    await chat({ key });
    const refused = await failureOf(() => chat({ key }));
    assert.deepEqual([refused.error.limit.source_group, refused.error.limit.threshold], [id, 1]);
    const wait = Number(refused.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60);
    assert.equal(refused.requestID, refused.error.request_id);
  });

  test("a client that is still sending when it is answered sees the answer", async () => {
    const text = "x".repeat(8 << 20);
    for (let call = 0; call < 5; call++) {
      assert.equal((await failureOf(() => chat({ text }))).status, 413);
      assert.equal((await failureOf(() => chat({ text, key: "sky_nobody.nothing" }))).status, 401);
    }
  });

  test("an upstream's error is told from ours", async () => {
    const { headers } = await failureOf(() => chat({ model: "acme/fails-429" }));
    assert.deepEqual([headers.get("x-tollgate-error-source"), headers.get("retry-after")], ["upstream", "7"]);
  });

  test("a stream that breaks off is an error", async () => {
    const error = await failureOf(() => streamedChat({ model: "acme/breaks" }));
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.code, "upstream_unavailable");
  });
});

describe("the client's own retries", () => {
  // How many calls went to the gateway for one call of the program.
  async function callsMade(key, model) {
    let calls = 0;
    const counted = (...args) => (calls++, fetch(...args));
    const answer = await client(key, { maxRetries: 1, fetch: counted }).chat.completions.create({
      model,
      messages: MESSAGES,
    });
    assert.equal(answer.model, model);
    return calls;
  }

  test("a refusal is waited for as told", async () => {
    const { key } = await world.oneCallPer("SECOND");
    const calls = [await callsMade(key, "acme/chat"), await callsMade(key, "acme/chat")];
    calls.push(await callsMade(key, "acme/chat"));
    assert.ok(calls.includes(2), "no call was refused and waited for");
  });

  test("an upstream that is unavailable is tried again", async () => {
    assert.equal(await callsMade(world.key, "acme/flaky"), 2);
  });
});
