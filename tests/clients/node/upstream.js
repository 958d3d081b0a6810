// A model server with faults: what goes wrong is named by the first part of the path.
//
// /NNN    always that status        /slow    no answer until it is closed
// /down   the connection is reset
// /flaky  503, then the answer of the simulated model, in turn       /breaks  an answer that breaks off midway

"use strict";

const http = require("node:http");

// Serves on a free port; answers that are none of its faults come from `modelUrl`.
async function startUpstream(modelUrl) {
  let failedLast = false;

  async function respond(request, response) {
    const [, fault, ...rest] = request.url.split("/");
    const route = rest.join("/");
    const body = await read(request);
    if (fault === "slow") return;
    if (fault === "down") {
      request.socket.destroy();
    } else if (fault === "breaks") {
      const [contentType, answer] = await simulated(route, body);
      response.writeHead(200, { "content-type": contentType, "content-length": answer.length });
      response.write(answer.subarray(0, answer.length / 2), () => response.destroy());
    } else if (fault === "flaky" && failedLast) {
      failedLast = false;
      const [contentType, answer] = await simulated(route, body);
      response.writeHead(200, { "content-type": contentType }).end(answer);
    } else {
      failedLast = fault === "flaky";
      fail(response, route, failedLast ? 503 : Number(fault));
    }
  }

  async function simulated(route, body) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${modelUrl}/${route}`, { method: "POST", body, headers });
    return [answer.headers.get("content-type"), Buffer.from(await answer.arrayBuffer())];
  }

  const server = http.createServer(respond);
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

// An error in the form that clients of this route know.
function fail(response, route, status) {
  const error = {
    message: "The model is out of sorts.",
    type: "server_error",
    param: null,
    code: "out_of_sorts",
  };
  const more = status === 429 ? { "retry-after": "7" } : {};
  response.writeHead(status, { "content-type": "application/json", ...more });
  const anthropic = { type: "error", error, request_id: "req_of_upstream" };
  response.end(JSON.stringify(route.startsWith("messages") ? anthropic : { error }));
}

module.exports = { startUpstream };
