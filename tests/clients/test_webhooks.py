"""What receivers make of our billing webhooks: one with the stock Standard Webhooks library, one with the verifier that
Baseten's guide shows."""

import hashlib
import hmac
import http.server
import json
import queue
import threading
import unittest

import openai
from standardwebhooks import Webhook, WebhookVerificationError

from world import ClientCase

MESSAGES = [{"role": "user", "content": "Say hello."}]
# A delivery that has not come by then never comes. A bound, never a pause.
PATIENCE_S = 30


def published_verifier(body, signature_header, secret):
    """As the guide has it: HMAC-SHA-256 over the raw body with the whole secret, and the whole header compared."""
    expected = "v1=" + hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature_header)


class Receiver:
    """Keeps what it is sent and answers with the statuses that it is given, then with 200."""

    def __init__(self, *statuses):
        self.came = queue.Queue()
        receiver, left = self, list(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(left.pop(0) if left else 200)
                self.send_header("content-length", "0")
                self.end_headers()
                receiver.came.put((dict(self.headers.items()), body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/bills"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        headers, body = self.came.get(timeout=PATIENCE_S)
        return {name.lower(): value for name, value in headers.items()}, body

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Webhooks(ClientCase):
    def hook(self, *statuses, **settings):
        """A webhook that leads to a receiver of its own: the receiver, and the secret."""
        receiver = Receiver(*statuses)
        self.addCleanup(receiver.close)
        put = self.world.manage("PUT", "/v1/gateway/webhook", {"url": receiver.url, **settings})
        self.addCleanup(self.world.manage, "DELETE", "/v1/gateway/webhook")
        return receiver, put["secret"]

    def call(self):
        client = openai.OpenAI(base_url=self.world.base_url, api_key=self.key)
        return client.chat.completions.create(
            model="acme/chat", max_tokens=9, messages=MESSAGES, metadata={"order": "17"}
        )

    def test_the_stock_library_and_the_published_verifier_take_a_delivery_and_no_other_body(self):
        receiver, secret = self.hook()
        self.call()
        headers, body = receiver.next()
        self.assertEqual(Webhook(secret).verify(body, headers), json.loads(body))
        self.assertTrue(published_verifier(body, headers["x-baseten-signature"], secret))
        altered = body.replace(b'"inputTokens":10', b'"inputTokens":11')
        self.assertNotEqual(altered, body)
        with self.assertRaises(WebhookVerificationError):
            Webhook(secret).verify(altered, headers)
        self.assertFalse(published_verifier(altered, headers["x-baseten-signature"], secret))
        payload = json.loads(body)
        self.assertEqual(payload["type"], "API_BILLING_USAGE")
        (event,) = payload["data"]["events"]
        self.assertEqual(event["tokens"], {"inputTokens": 10, "outputTokens": 9, "cachedInputTokens": 0})
        self.assertEqual(event["requestMetadata"], {"order": "17"})

    def test_a_retry_is_the_same_message_with_a_signature_of_its_own(self):
        receiver, secret = self.hook(503)
        self.call()
        (first, body), (second, again) = receiver.next(), receiver.next()
        self.assertEqual(body, again)
        for headers in (first, second):
            Webhook(secret).verify(body, headers)
        self.assertEqual(first["webhook-id"], second["webhook-id"])
        self.assertEqual(first["x-baseten-request-id"], second["x-baseten-request-id"])

    def test_while_a_secret_is_replaced_receivers_with_either_go_on(self):
        receiver, old = self.hook()
        new = self.world.manage("POST", "/v1/gateway/webhook/rotate_secret", {})["secret"]
        self.call()
        headers, body = receiver.next()
        for secret in (old, new):
            Webhook(secret).verify(body, headers)
        self.assertTrue(published_verifier(body, headers["x-baseten-signature"], new))
        self.assertFalse(published_verifier(body, headers["x-baseten-signature"], old))

    def test_what_a_receiver_refused_is_redriven_with_the_same_keys(self):
        receiver, secret = self.hook(400)
        self.call()
        _, refused = receiver.next()
        # The list shows it once the refusal is written down.
        dead = []
        while not dead:
            dead = self.world.manage("GET", "/v1/gateway/webhook/dead_letters")["items"]
        self.world.manage("POST", "/v1/gateway/webhook/dead_letters/redrive", {"ids": [dead[0]["id"]]})
        headers, redriven = receiver.next()
        self.assertEqual(redriven, refused)
        self.assertNotEqual(headers["webhook-id"], dead[0]["id"])
        Webhook(secret).verify(redriven, headers)


if __name__ == "__main__":
    unittest.main()
