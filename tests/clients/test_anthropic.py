"""The official Anthropic SDK (Python), unchanged: only the base URL and the key are ours."""

import unittest

import anthropic

from test_openai import CITY
from world import ClientCase

TOOL = {"name": "get_weather", "description": "The weather in a city", "input_schema": CITY}
TYPES = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    409: anthropic.ConflictError,
    413: anthropic.ContentTooLargeError,
    422: anthropic.UnprocessableEntityError,
    429: anthropic.RateLimitError,
}
# `error.type` of our own answers; a model server says what it likes.
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class AnthropicCase(ClientCase):
    def client(self, key=None, **settings):
        credential = {} if "auth_token" in settings else {"api_key": key or self.key}
        # This SDK's base URL goes without the /v1.
        client = anthropic.Anthropic(base_url=self.world.url, **{"max_retries": 0, **credential, **settings})
        self.addCleanup(client.close)
        return client

    def create(self, key=None, client=None, **changes):
        return (client or self.client(key)).messages.create(**asked(**changes))

    def stream(self, **changes):
        return list(self.create(stream=True, **changes))

    def check_usage(self, usage):
        self.assertEqual((usage.input_tokens, usage.output_tokens), (10, 9))

    def check_error(self, error, trouble):
        self.assertIsInstance(error, TYPES.get(trouble.status, anthropic.InternalServerError), error)
        self.assertEqual(error.status_code, trouble.status)
        self.assertEqual(error.body["type"], "error")
        told = error.body["error"]
        self.assertEqual(told["code"], trouble.code)
        if trouble.code != "out_of_sorts":
            self.assertEqual(told["type"], KINDS[trouble.status])
        self.assertTrue(told["message"])
        self.assertTrue(error.body["request_id"])


def asked(model="acme/chat", text="Say hello.", max_tokens=100, **more):
    return {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": text}], **more}


class Messages(AnthropicCase):
    def test_a_whole_answer(self):
        answer = self.create()
        self.assertEqual((answer.model, answer.role, answer.stop_reason), ("acme/chat", "assistant", "end_turn"))
        self.assertTrue(answer.content[0].text)
        self.check_usage(answer.usage)

    def test_the_key_as_a_bearer_token(self):
        self.check_usage(self.create(client=self.client(auth_token=self.key)).usage)
        with self.assertRaises(anthropic.AuthenticationError):
            self.create(client=self.client(auth_token="sky_nobody.nothing"))

    def test_a_streamed_answer(self):
        events = self.stream()
        self.assertEqual((events[0].type, events[-1].type), ("message_start", "message_stop"))
        self.assertEqual(events[0].message.model, "acme/chat")
        deltas = [event.delta for event in events if event.type == "content_block_delta"]
        self.assertEqual("".join(delta.text for delta in deltas), self.create().content[0].text)
        used = [event.usage.output_tokens for event in events if event.type == "message_delta"]
        self.assertEqual(used, [9])

    def test_the_stream_helper_gathers_the_whole_answer(self):
        with self.client().messages.stream(**asked()) as stream:
            text = "".join(stream.text_stream)
            answer = stream.get_final_message()
        self.assertEqual((answer.model, text), ("acme/chat", self.create().content[0].text))
        self.check_usage(answer.usage)

    def test_tools(self):
        answer = self.create(tools=[TOOL])
        self.assertEqual((answer.stop_reason, answer.content[-1].name), ("tool_use", "get_weather"))
        self.assertTrue(answer.content[-1].input)

    def test_streamed_tools(self):
        with self.client().messages.stream(**asked(tools=[TOOL])) as stream:
            answer = stream.get_final_message()
        self.assertEqual((answer.stop_reason, answer.content[-1].name), ("tool_use", "get_weather"))
        self.assertEqual(answer.content[-1].input, self.create(tools=[TOOL]).content[-1].input)

    def test_the_answer_to_a_tools_call_is_taken(self):
        answer = self.create(tools=[TOOL])
        result = {"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": "rain"}
        talk = [
            {"role": "user", "content": "How is the weather?"},
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [result]},
        ]
        self.assertEqual(self.create(messages=talk).stop_reason, "end_turn")

    def test_the_sdk_knows_the_requests_id(self):
        self.assertTrue(self.create()._request_id)
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.create(model="acme/gone")
        self.assertEqual(caught.exception.request_id, caught.exception.body["request_id"])

    def test_tokens_are_counted(self):
        counted = self.client().messages.count_tokens(
            model="acme/chat", messages=[{"role": "user", "content": "Say hello."}]
        )
        self.assertGreater(counted.input_tokens, 0)


class Errors(AnthropicCase):
    def count(self, key=None, model="acme/chat", text="Say hello."):
        return self.client(key).messages.count_tokens(model=model, messages=[{"role": "user", "content": text}])

    def test_each_error_of_a_whole_call_has_its_type(self):
        self.meet_troubles(self.create, self.check_error)

    def test_each_error_of_a_streamed_call_has_its_type(self):
        self.meet_troubles(self.stream, self.check_error)

    def test_each_error_of_a_count_has_its_type(self):
        self.meet_troubles(self.count, self.check_error, but=("max_tokens",))

    def test_a_refusal_explains_itself(self):
        group, key = self.world.one_call_per("MINUTE")
        self.create(key)
        with self.assertRaises(anthropic.RateLimitError) as caught:
            self.create(key)
        refused = caught.exception
        limit = refused.body["error"]["limit"]
        self.assertEqual((limit["source_group"], limit["type"], limit["threshold"]), (group, "REQUEST", 1))
        self.assertTrue(1 <= int(refused.response.headers["retry-after"]) <= 60)
        self.assertEqual(refused.response.headers["x-request-id"], refused.body["request_id"])

    def test_an_upstreams_error_is_told_from_ours(self):
        with self.assertRaises(anthropic.RateLimitError) as caught:
            self.create(model="acme/fails-429")
        headers = caught.exception.response.headers
        self.assertEqual((headers["x-tollgate-error-source"], headers["retry-after"]), ("upstream", "7"))

    def test_a_stream_that_breaks_off_is_an_error(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            self.stream(model="acme/breaks")
        self.assertEqual(caught.exception.body["error"]["code"], "upstream_unavailable")


class Retries(AnthropicCase):
    def create_raw(self, client, model="acme/chat"):
        return client.messages.with_raw_response.create(**asked(model=model))

    def test_a_refusal_is_waited_for_as_told(self):
        _, key = self.world.one_call_per("SECOND")
        client = self.client(key, max_retries=1)
        retries = [self.create_raw(client).retries_taken for _ in range(3)]
        self.assertIn(1, retries, "no call was refused and waited for")

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        answer = self.create_raw(self.client(max_retries=1), model="acme/flaky")
        self.assertEqual((answer.retries_taken, answer.parse().model), (1, "acme/flaky"))


if __name__ == "__main__":
    unittest.main()
