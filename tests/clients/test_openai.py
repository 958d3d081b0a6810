"""The official OpenAI SDK (Python), unchanged: only the base URL and the key are ours."""

import unittest

import openai

from world import World

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class OpenAiSdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        _, cls.key = cls.world.customer("sdk")

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def client(self, key=None, **settings):
        client = openai.OpenAI(
            base_url=self.world.base_url, api_key=key or self.key, **{"max_retries": 0, **settings}
        )
        self.addCleanup(client.close)
        return client

    def test_a_whole_answer(self):
        answer = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES)
        self.assertEqual(answer.model, "acme/chat")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (10, 9))

    def test_a_streamed_answer(self):
        stream = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES, stream=True)
        chunks = list(stream)
        self.assertTrue(all(chunk.model == "acme/chat" for chunk in chunks))
        self.assertTrue("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
        self.assertTrue(all(chunk.usage is None for chunk in chunks), "usage was not asked for")

    def test_a_streamed_answer_with_its_usage(self):
        stream = self.client().chat.completions.create(
            model="acme/chat", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        last = list(stream)[-1]
        self.assertEqual((last.choices, last.usage.total_tokens), ([], 19))

    def test_tools(self):
        answer = self.client().chat.completions.create(model="acme/chat", messages=MESSAGES, tools=[TOOL])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(answer.choices[0].message.tool_calls[0].function.name, "get_weather")

    def test_streamed_tools(self):
        stream = self.client().chat.completions.create(
            model="acme/chat", messages=MESSAGES, tools=[TOOL], stream=True
        )
        calls = [call for chunk in stream for call in (chunk.choices[0].delta.tool_calls or [])]
        self.assertEqual(calls[0].function.name, "get_weather")

    def test_models_are_listed(self):
        listed = self.client().models.list()
        self.assertEqual([model.id for model in listed], ["acme/chat"])
        self.assertEqual(self.client().models.retrieve("acme/chat").id, "acme/chat")

    def test_an_unknown_key_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.client(key="sky_nobody.nothing").chat.completions.create(model="acme/chat", messages=MESSAGES)
        self.assertEqual((caught.exception.status_code, caught.exception.code), (401, "invalid_api_key"))

    def test_a_model_of_others_is_a_permission_error(self):
        with self.assertRaises(openai.PermissionDeniedError) as caught:
            self.client().chat.completions.create(model="acme/secret", messages=MESSAGES)
        self.assertEqual((caught.exception.status_code, caught.exception.code), (403, "model_not_allowed"))

    def test_a_model_without_an_endpoint_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client().chat.completions.create(model="acme/gone", messages=MESSAGES)
        self.assertEqual((caught.exception.status_code, caught.exception.code), (404, "model_not_found"))

    def test_a_bad_request_is_a_bad_request_error(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client().chat.completions.create(model="acme/chat", messages=MESSAGES, max_tokens=-1)
        self.assertEqual(caught.exception.param, "max_tokens")

    def test_a_refusal_is_a_rate_limit_error_that_explains_itself(self):
        limits = [{"type": "REQUEST", "unit": "MINUTE", "threshold": 1}]
        group, key = self.world.customer("limited", rate_limits=limits)
        client = self.client(key=key)
        client.chat.completions.create(model="acme/chat", messages=MESSAGES)
        with self.assertRaises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="acme/chat", messages=MESSAGES)
        refused = caught.exception
        self.assertEqual((refused.status_code, refused.code), (429, "rate_limit_exceeded"))
        self.assertEqual(refused.body["limit"]["source_group"], group)
        self.assertEqual((refused.body["limit"]["type"], refused.body["limit"]["threshold"]), ("REQUEST", 1))
        self.assertTrue(1 <= int(refused.response.headers["retry-after"]) <= 60)
        self.assertEqual(refused.request_id, refused.body["request_id"])

    def test_the_sdks_own_retries_wait_as_told_and_then_succeed(self):
        limits = [{"type": "REQUEST", "unit": "SECOND", "threshold": 1}]
        _, key = self.world.customer("retried", rate_limits=limits)
        client = self.client(key=key, max_retries=1)
        for _ in range(2):
            client.chat.completions.create(model="acme/chat", messages=MESSAGES)


if __name__ == "__main__":
    unittest.main()
