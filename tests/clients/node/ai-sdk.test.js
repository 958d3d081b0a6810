// Vercel's AI SDK with its two OpenAI providers, unchanged: only the base URL and the key are ours.

"use strict";

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { createOpenAI } = require("@ai-sdk/openai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { APICallError, RetryError, embed, embedMany, generateText, streamText, tool } = require("ai");
const { z } = require("zod");

const { startWorld, meetTroubles, failureOf, gather } = require("./world.js");

const getWeather = tool({ description: "The weather in a city", inputSchema: z.object({ text: z.string() }) });

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const compatible = (options) => createOpenAICompatible({ name: "tollgate", includeUsage: true, ...options });

// How each provider makes a model that talks, and one that embeds.
const TALK = {
  "chat of @ai-sdk/openai": (options, slug) => createOpenAI(options).chat(slug),
  "responses of @ai-sdk/openai": (options, slug) => createOpenAI(options).responses(slug),
  "chat of @ai-sdk/openai-compatible": (options, slug) => compatible(options).chatModel(slug),
};
const EMBED = {
  "embeddings of @ai-sdk/openai": (options, slug) => createOpenAI(options).embedding(slug),
  "embeddings of @ai-sdk/openai-compatible": (options, slug) => compatible(options).embeddingModel(slug),
};

function checkError(error, trouble) {
  assert.ok(APICallError.isInstance(error), String(error));
  assert.deepEqual([error.statusCode, error.data.error.code], [trouble.status, trouble.code]);
  assert.equal(error.message, error.data.error.message);
}

for (const [kind, makeModel] of Object.entries(TALK)) {
  const ask = ({ key = world.key, model = "acme/chat", text = "Say hello.", maxTokens, fetch, ...more } = {}) => ({
    model: makeModel({ baseURL: world.baseURL, apiKey: key, fetch }, model),
    prompt: text,
    // The client's own maxOutputTokens would not let a bad one through.
    providerOptions: {
      openai: { maxCompletionTokens: maxTokens },
      tollgate: { max_completion_tokens: maxTokens },
    },
    maxRetries: 0,
    ...more,
  });
  // Of responses no option is left that the client would send unchecked.
  const but = kind.startsWith("responses") ? ["maxTokens"] : [];
  const whole = (changes) => generateText(ask(changes));
  // An error comes as a part of the stream; a program that wants to catch it throws it.
  const streamed = async (changes) => {
    const result = streamText({ ...ask(changes), onError: () => {} });
    const parts = await gather(result.fullStream);
    for (const part of parts) if (part.type === "error") throw part.error;
    return { parts, text: await result.text, toolCalls: await result.toolCalls, usage: await result.usage };
  };

  describe(kind, () => {
    test("a whole answer", async () => {
      const answer = await whole();
      assert.ok(answer.text);
      assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens], [10, 9]);
      assert.deepEqual([answer.response.modelId, answer.finishReason], ["acme/chat", "stop"]);
    });

    test("a streamed answer with its usage", async () => {
      const answer = await streamed();
      assert.equal(answer.text, (await whole()).text);
      assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens], [10, 9]);
    });

    test("tools", async () => {
      const answer = await whole({ tools: { getWeather } });
      assert.equal(answer.finishReason, "tool-calls");
      assert.deepEqual(answer.toolCalls.map((call) => call.toolName), ["getWeather"]);
      assert.ok(answer.toolCalls[0].input.text);
    });

    test("streamed tools", async () => {
      const answer = await streamed({ tools: { getWeather } });
      assert.deepEqual(answer.toolCalls.map((call) => call.toolName), ["getWeather"]);
      assert.ok(answer.toolCalls[0].input.text);
    });
  });

  describe(`errors of ${kind}`, () => {
    test("each error of a whole call has its type", (t) => meetTroubles(t, world, whole, checkError, but));
    test("each error of a streamed call has its type", (t) => meetTroubles(t, world, streamed, checkError, but));

    test("a stream that breaks off is an error", async () => {
      const error = await failureOf(() => streamed({ model: "acme/breaks" }));
      assert.match(error.message ?? error, /could not be reached/);
    });
  });

  describe(`the client's own retries of ${kind}`, () => {
    async function callsMade(key, model) {
      let calls = 0;
      const counted = (...args) => (calls++, fetch(...args));
      assert.ok((await whole({ key, model, fetch: counted, maxRetries: 1 })).text);
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

    test("a fault that stays is told with its last error", async () => {
      const error = await failureOf(() => whole({ model: "acme/fails-503", maxRetries: 1 }));
      assert.ok(RetryError.isInstance(error));
      assert.equal(error.lastError.statusCode, 503);
    });
  });
}

for (const [kind, makeModel] of Object.entries(EMBED)) {
  const ask = ({ key = world.key, model = "acme/chat", ...more } = {}) => ({
    model: makeModel({ baseURL: world.baseURL, apiKey: key }, model),
    maxRetries: 0,
    ...more,
  });
  const one = ({ text = "hello", ...changes } = {}) => embed({ ...ask(changes), value: text });

  describe(kind, () => {
    test("of one text", async () => {
      const { embedding, usage } = await one();
      assert.ok(embedding.length > 0 && embedding.every((number) => typeof number === "number"));
      assert.equal(usage.tokens, 10);
    });

    test("of several texts", async () => {
      const { embeddings } = await embedMany({ ...ask(), values: ["one", "two", "three"] });
      assert.equal(embeddings.length, 3);
    });

    test("each error has its type", (t) => meetTroubles(t, world, one, checkError, ["maxTokens"]));

    test("an upstream that is unavailable is tried again", async () => {
      assert.ok((await one({ model: "acme/flaky", maxRetries: 1 })).embedding);
    });
  });
}
