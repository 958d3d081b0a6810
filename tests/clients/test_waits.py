"""What the official SDKs (Python) make of a limit that is used up: they sleep as told and come back once, or give up.

The wait for a MINUTE is real. Both SDKs wait at the same time, in a world of their own.
"""

import concurrent.futures
import datetime
import time
import unittest

import anthropic
import openai

from world import ClientCase

MESSAGES = [{"role": "user", "content": "Say hello."}]
# Not asked for anything near midnight: a day whose end is near is waited for, and then it is another day.
NEAR_MIDNIGHT_S = 180
# SDKs that are told nothing wait at most so long.
OWN_ACCORD_S = 8


class Seen:
    """The answers that an SDK got from the gateway, each with the time when it was asked for and when it came."""

    def __init__(self):
        self.answers = []
        self.asked = None
        self.hooks = {"request": [self._request], "response": [self._response]}

    def _request(self, _):
        self.asked = time.monotonic()

    def _response(self, response):
        self.answers.append((response.status_code, response.headers, self.asked, time.monotonic()))

    def statuses(self):
        return [status for status, *_ in self.answers]


class Waits(ClientCase):
    def openai(self, key):
        seen = Seen()
        http = openai.DefaultHttpxClient(event_hooks=seen.hooks)
        client = openai.OpenAI(base_url=self.world.base_url, api_key=key, max_retries=2, http_client=http)
        self.addCleanup(client.close)
        return seen, lambda: client.chat.completions.create(model="acme/chat", messages=MESSAGES, max_tokens=9)

    def anthropic(self, key):
        seen = Seen()
        http = anthropic.DefaultHttpxClient(event_hooks=seen.hooks)
        # This SDK's base URL goes without the /v1.
        client = anthropic.Anthropic(base_url=self.world.url, api_key=key, max_retries=2, http_client=http)
        self.addCleanup(client.close)
        return seen, lambda: client.messages.create(model="acme/chat", messages=MESSAGES, max_tokens=9)

    def test_a_used_up_minute_is_slept_out_as_told_and_the_first_retry_succeeds(self):
        clients = [make(self.world.one_call_per("MINUTE")[1]) for make in (self.openai, self.anthropic)]
        with concurrent.futures.ThreadPoolExecutor() as threads:
            waits = [threads.submit(lambda call=call: (call(), call())) for _, call in clients]
            for wait in waits:
                wait.result()
        for seen, _ in clients:
            self.assertEqual(seen.statuses(), [200, 429, 200])
            (_, told, _, came), (_, _, asked, _) = seen.answers[1:]
            wait_s = int(told["retry-after-ms"]) / 1000
            self.assertTrue(OWN_ACCORD_S < wait_s <= 60, wait_s)
            self.assertEqual(int(told["retry-after"]), -(-int(told["retry-after-ms"]) // 1000))
            self.assertNotIn("x-should-retry", told)
            self.assertGreaterEqual(asked - came, wait_s - 0.05)

    def test_a_used_up_day_is_not_asked_for_again(self):
        rest_of_the_day()
        for make, kind in ((self.openai, openai.RateLimitError), (self.anthropic, anthropic.RateLimitError)):
            with self.subTest(make.__name__):
                seen, call = make(self.world.one_call_per("DAY")[1])
                call()
                with self.assertRaises(kind) as caught:
                    call()
                self.assertEqual(seen.statuses(), [200, 429], "one request for the second call")
                self.assertEqual(caught.exception.response.headers["x-should-retry"], "false")
                self.assertGreater(int(caught.exception.response.headers["retry-after"]), 120)


def rest_of_the_day():
    """Returns when there is enough left of the present UTC day."""
    now = datetime.datetime.now(datetime.timezone.utc)
    left = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
    if left < NEAR_MIDNIGHT_S:
        time.sleep(left + 1)


if __name__ == "__main__":
    unittest.main()
