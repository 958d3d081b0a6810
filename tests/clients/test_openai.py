"""The official OpenAI SDK (Python), unchanged: only the base URL and the key are ours. Chat, models, errors, retries."""

import json
import unittest

import openai

from world import TOO_LARGE, ClientCase

MESSAGES = [{"role": "user", "content": "Say hello."}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather in a city", "parameters": CITY}
TOOL = {"type": "function", "function": WEATHER}
TYPES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


class OpenAiErrors:
    """What the SDK makes of errors; other clients that are built on it raise its exceptions too."""

    def check_error(self, error, trouble):
        self.assertIsInstance(error, TYPES.get(trouble.status, openai.InternalServerError), error)
        self.assertEqual((error.status_code, error.code), (trouble.status, trouble.code))
        self.assertTrue(error.body["message"])
        self.assertTrue(error.request_id)


class OpenAiCase(OpenAiErrors, ClientCase):
    def client(self, key=None, **settings):
        client = openai.OpenAI(
            base_url=self.world.base_url, api_key=key or self.key, **{"max_retries": 0, **settings}
        )
        self.addCleanup(client.close)
        return client


class Chat(OpenAiCase):
    def test_a_whole_answer(self):
        answer = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES)
        self.assertEqual(answer.model, "acme/chat")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (10, 9))

    def test_a_streamed_answer(self):
        whole = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES)
        stream = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES, stream=True)
        chunks = list(stream)
        self.assertTrue(all(chunk.model == "acme/chat" for chunk in chunks))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertTrue(all(chunk.usage is None for chunk in chunks), "usage was not asked for")

    def test_a_streamed_answer_with_its_usage(self):
        stream = self.client().chat.completions.create(
            model="acme/chat", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        last = list(stream)[-1]
        self.assertEqual((last.choices, last.usage.total_tokens), ([], 19))

    def test_the_stream_helper_gathers_the_whole_answer(self):
        with self.client().chat.completions.stream(
            model="acme/chat", messages=MESSAGES, stream_options={"include_usage": True}
        ) as stream:
            kinds = {event.type for event in stream}
            answer = stream.get_final_completion()
        self.assertLessEqual({"chunk", "content.delta", "content.done"}, kinds)
        self.assertEqual((answer.model, answer.usage.total_tokens), ("acme/chat", 19))

    def test_tools(self):
        answer = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES, tools=[TOOL])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "get_weather")
        self.assertTrue(json.loads(call.function.arguments))

    def test_streamed_tools(self):
        stream = self.client().chat.completions.create(
            model="acme/chat", messages=MESSAGES, tools=[TOOL], stream=True
        )
        calls = [call for chunk in stream for call in (chunk.choices[0].delta.tool_calls or [])]
        self.assertEqual(calls[0].function.name, "get_weather")
        self.assertTrue(json.loads("".join(call.function.arguments or "" for call in calls)))

    def test_the_answer_to_a_tools_call_is_taken(self):
        client = self.client()
        first = client.chat.completions.create(model="acme/chat", messages=MESSAGES, tools=[TOOL])
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        second = client.chat.completions.create(model="acme/chat", messages=[*MESSAGES, message, result])
        self.assertEqual(second.choices[0].finish_reason, "stop")


class Models(OpenAiCase):
    def test_models_are_listed(self):
        listed = [model.id for model in self.client().models.list()]
        self.assertIn("acme/chat", listed)
        self.assertNotIn("acme/gone", listed, "it has no endpoint")

    def test_one_model_is_retrieved(self):
        self.assertEqual(self.client().models.retrieve("acme/chat").id, "acme/chat")
        with self.assertRaises(openai.NotFoundError):
            self.client().models.retrieve("acme/gone")


class Errors(OpenAiCase):
    def chat(self, key=None, model="acme/chat", text="Say hello.", stream=False, **more):
        messages = [{"role": "user", "content": text}]
        return self.client(key).chat.completions.create(model=model, messages=messages, stream=stream, **more)

    def test_each_error_of_a_whole_call_has_its_type(self):
        self.meet_troubles(self.chat, self.check_error)

    def test_each_error_of_a_streamed_call_has_its_type(self):
        self.meet_troubles(lambda **changes: list(self.chat(stream=True, **changes)), self.check_error)

    def test_a_bad_parameter_is_named(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(max_tokens=-1)
        self.assertEqual(caught.exception.param, "max_tokens")

    def test_a_refusal_explains_itself(self):
        group, key = self.world.one_call_per("MINUTE")
        self.chat(key)
        with self.assertRaises(openai.RateLimitError) as caught:
            self.chat(key)
        refused = caught.exception
        self.assertEqual(refused.body["limit"]["source_group"], group)
        self.assertEqual((refused.body["limit"]["type"], refused.body["limit"]["threshold"]), ("REQUEST", 1))
        self.assertTrue(1 <= int(refused.response.headers["retry-after"]) <= 60)
        self.assertEqual(refused.request_id, refused.body["request_id"])

    def test_an_upstreams_error_is_told_from_ours(self):
        with self.assertRaises(openai.RateLimitError) as caught:
            self.chat(model="acme/fails-429")
        headers = caught.exception.response.headers
        self.assertEqual((headers["x-tollgate-error-source"], headers["retry-after"]), ("upstream", "7"))

    def test_a_client_that_was_answered_before_its_body_was_read_can_go_on(self):
        client = self.client()
        chat = client.chat.completions.create
        long = [{"role": "user", "content": TOO_LARGE}]
        for status, call in (
            (413, lambda: chat(model="acme/chat", messages=long)),
            (404, lambda: client.images.generate(model="acme/chat", prompt="A house.")),
        ):
            with self.subTest(status):
                with self.assertRaises(openai.APIStatusError) as caught:
                    call()
                self.assertEqual(caught.exception.status_code, status)
                # What is left of the body ends the connection; a client that was not told would use it again.
                self.assertEqual(caught.exception.response.headers.get("connection"), "close")
                chat(model="acme/chat", messages=MESSAGES)

    def test_a_stream_that_breaks_off_is_an_error(self):
        with self.assertRaises(openai.APIError) as caught:
            list(self.chat(model="acme/breaks", stream=True))
        self.assertEqual(caught.exception.code, "upstream_unavailable")


class Retries(OpenAiCase):
    def chat(self, client, model="acme/chat"):
        return client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)

    def test_a_refusal_is_waited_for_as_told(self):
        _, key = self.world.one_call_per("SECOND")
        client = self.client(key, max_retries=1)
        retries = [self.chat(client).retries_taken for _ in range(3)]
        self.assertIn(1, retries, "no call was refused and waited for")

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        answer = self.chat(self.client(max_retries=1), model="acme/flaky")
        self.assertEqual((answer.retries_taken, answer.parse().model), (1, "acme/flaky"))


if __name__ == "__main__":
    unittest.main()
