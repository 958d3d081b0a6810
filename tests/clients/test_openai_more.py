"""The official OpenAI SDK (Python) beside chat: completions, embeddings, responses."""

import json
import unittest

import openai

from test_openai import CITY, OpenAiCase

TOOL = {"type": "function", "name": "get_weather", "description": "The weather in a city", "parameters": CITY}
# Only a bound on the output can be bad in itself, and embeddings have none.
WITHOUT_BOUND = ("max_tokens",)


class Completions(OpenAiCase):
    def complete(self, key=None, model="acme/chat", text="Once upon", client=None, **more):
        return (client or self.client(key)).completions.create(model=model, prompt=text, **more)

    def stream(self, **changes):
        return list(self.complete(stream=True, **changes))

    def test_a_whole_answer(self):
        answer = self.complete()
        self.assertEqual((answer.model, answer.object), ("acme/chat", "text_completion"))
        self.assertTrue(answer.choices[0].text)
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (10, 9))

    def test_a_streamed_answer(self):
        chunks = self.stream()
        self.assertTrue(all(chunk.model == "acme/chat" for chunk in chunks))
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), self.complete().choices[0].text)
        self.assertTrue(all(chunk.usage is None for chunk in chunks), "usage was not asked for")

    def test_a_streamed_answer_with_its_usage(self):
        last = self.stream(stream_options={"include_usage": True})[-1]
        self.assertEqual((last.choices, last.usage.total_tokens), ([], 19))

    def test_each_error_has_its_type(self):
        self.meet_troubles(self.complete, self.check_error)
        self.meet_troubles(self.stream, self.check_error)

    def test_a_stream_that_breaks_off_is_an_error(self):
        with self.assertRaises(openai.APIError) as caught:
            self.stream(model="acme/breaks")
        self.assertEqual(caught.exception.code, "upstream_unavailable")

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        answer = self.complete(client=self.client(max_retries=1), model="acme/flaky")
        self.assertEqual(answer.model, "acme/flaky")


class Embeddings(OpenAiCase):
    def embed(self, key=None, model="acme/chat", text="hello", client=None, **more):
        return (client or self.client(key)).embeddings.create(model=model, input=text, **more)

    def test_as_the_sdk_asks_by_default(self):
        answer = self.embed()
        self.assertEqual((answer.model, answer.object), ("acme/chat", "list"))
        self.assertTrue(all(isinstance(number, float) for number in answer.data[0].embedding))
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.total_tokens), (10, 10))

    def test_as_numbers_and_as_base64_they_are_the_same(self):
        numbers = self.embed(encoding_format="float").data[0].embedding
        encoded = self.embed(encoding_format="base64").data[0].embedding
        self.assertIsInstance(encoded, str)
        for number, default in zip(numbers, self.embed().data[0].embedding, strict=True):
            self.assertAlmostEqual(number, default, places=6)

    def test_of_several_texts(self):
        answer = self.embed(text=["one", "two", "three"])
        self.assertEqual([one.index for one in answer.data], [0, 1, 2])

    def test_each_error_has_its_type(self):
        self.meet_troubles(self.embed, self.check_error, but=WITHOUT_BOUND)

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        self.assertEqual(self.embed(client=self.client(max_retries=1), model="acme/flaky").model, "acme/flaky")


class Responses(OpenAiCase):
    def respond(self, key=None, model="acme/chat", text="Say hello.", max_tokens=openai.omit, client=None, **more):
        client = client or self.client(key)
        return client.responses.create(model=model, input=text, max_output_tokens=max_tokens, **more)

    def stream(self, **changes):
        return list(self.respond(stream=True, **changes))

    def check_usage(self, usage):
        self.assertEqual((usage.input_tokens, usage.output_tokens, usage.total_tokens), (10, 9, 19))

    def test_a_whole_answer(self):
        answer = self.respond()
        self.assertEqual((answer.model, answer.status), ("acme/chat", "completed"))
        self.assertTrue(answer.output_text)
        self.check_usage(answer.usage)

    def test_a_streamed_answer(self):
        events = self.stream()
        self.assertEqual((events[0].type, events[-1].type), ("response.created", "response.completed"))
        self.assertEqual((events[0].response.model, events[-1].response.model), ("acme/chat", "acme/chat"))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(text, self.respond().output_text)
        self.check_usage(events[-1].response.usage)

    def test_the_stream_helper_gathers_the_whole_answer(self):
        with self.client().responses.stream(model="acme/chat", input="Say hello.") as stream:
            kinds = {event.type for event in stream}
            answer = stream.get_final_response()
        self.assertLessEqual({"response.created", "response.output_text.delta", "response.completed"}, kinds)
        self.assertEqual((answer.model, answer.output_text), ("acme/chat", self.respond().output_text))
        self.check_usage(answer.usage)

    def test_tools(self):
        call = self.respond(tools=[TOOL]).output[0]
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        self.assertTrue(json.loads(call.arguments))

    def test_streamed_tools(self):
        events = self.stream(tools=[TOOL])
        arguments = "".join(
            event.delta for event in events if event.type == "response.function_call_arguments.delta"
        )
        call = events[-1].response.output[0]
        self.assertEqual((call.name, call.arguments), ("get_weather", arguments))
        self.assertTrue(json.loads(arguments))

    def test_each_error_has_its_type(self):
        self.meet_troubles(self.respond, self.check_error)
        self.meet_troubles(self.stream, self.check_error)

    def test_a_stream_that_breaks_off_is_an_error(self):
        with self.assertRaises(openai.APIError) as caught:
            self.stream(model="acme/breaks")
        self.assertEqual(caught.exception.code, "upstream_unavailable")

    def test_a_refusal_is_waited_for_as_told(self):
        _, key = self.world.one_call_per("SECOND")
        client = self.client(key, max_retries=1)
        for _ in range(2):
            self.assertTrue(self.respond(client=client).output_text)

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        self.assertEqual(self.respond(client=self.client(max_retries=1), model="acme/flaky").model, "acme/flaky")


if __name__ == "__main__":
    unittest.main()
