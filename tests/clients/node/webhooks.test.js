// What a receiver (Node) makes of our billing webhooks: with the stock Standard Webhooks library, and with the verifier
// that Baseten's guide shows.

"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const http = require("node:http");
const { once } = require("node:events");
const { after, before, test } = require("node:test");
const OpenAI = require("openai");
const { Webhook } = require("standardwebhooks");

const { startWorld } = require("./world.js");

let world;
let receiver;
before(async () => {
  world = await startWorld();
  receiver = await startReceiver();
});
after(async () => {
  receiver.server.close();
  await world.close();
});

// As the guide has it: HMAC-SHA-256 over the raw body with the whole secret, and the whole header compared.
function publishedVerifier(body, header, secret) {
  const expected = `v1=${crypto.createHmac("sha256", secret).update(body).digest("hex")}`;
  const [one, other] = [Buffer.from(expected), Buffer.from(header)];
  return one.length === other.length && crypto.timingSafeEqual(one, other);
}

// Keeps what it is sent, and says so.
async function startReceiver() {
  const server = http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    response.end();
    server.emit("delivered", { headers: request.headers, body: Buffer.concat(pieces).toString() });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${server.address().port}/bills` };
}

test("the stock library and the published verifier take a delivery, and no other body", async () => {
  const { secret } = await world.manage("PUT", "/v1/gateway/webhook", { url: receiver.url });
  const delivered = once(receiver.server, "delivered");
  const client = new OpenAI({ baseURL: world.baseURL, apiKey: world.key });
  const messages = [{ role: "user", content: "Say hello." }];
  await client.chat.completions.create({ model: "acme/chat", max_tokens: 9, messages });
  const [{ headers, body }] = await delivered;
  assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body));
  assert.ok(publishedVerifier(body, headers["x-baseten-signature"], secret));
  const altered = body.replace('"outputTokens":9', '"outputTokens":8');
  assert.notEqual(altered, body);
  assert.throws(() => new Webhook(secret).verify(altered, headers));
  assert.ok(!publishedVerifier(altered, headers["x-baseten-signature"], secret));
});

test("while a secret is replaced, receivers with either go on", async () => {
  await world.manage("DELETE", "/v1/gateway/webhook");
  const { secret: old } = await world.manage("PUT", "/v1/gateway/webhook", { url: receiver.url });
  const { secret } = await world.manage("POST", "/v1/gateway/webhook/rotate_secret", {});
  const delivered = once(receiver.server, "delivered");
  const tested = await world.manage("POST", "/v1/gateway/webhook/test", {});
  assert.equal(tested.status, 200);
  const [{ headers, body }] = await delivered;
  for (const each of [old, secret]) new Webhook(each).verify(body, headers);
  assert.ok(publishedVerifier(body, headers["x-baseten-signature"], secret));
});
