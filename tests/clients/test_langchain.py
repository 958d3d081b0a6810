"""LangChain's OpenAI client, unchanged: only the base URL and the key are ours."""

import asyncio
import unittest

import openai
import pydantic
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from test_openai import OpenAiErrors
from world import ClientCase


class GetWeather(pydantic.BaseModel):
    """The weather in a city."""

    text: str


class LangChainCase(ClientCase):
    def chat_model(self, key=None, model="acme/chat", **settings):
        return ChatOpenAI(
            base_url=self.world.base_url, api_key=key or self.key, model=model, **{"max_retries": 0, **settings}
        )


class Chat(LangChainCase):
    def test_a_whole_answer(self):
        answer = self.chat_model().invoke("Say hello.")
        self.assertTrue(answer.content)
        self.assertEqual(answer.response_metadata["model_name"], "acme/chat")
        self.assertEqual(answer.usage_metadata["total_tokens"], 19)

    def test_a_streamed_answer(self):
        whole = self.chat_model().invoke("Say hello.").content
        self.assertEqual("".join(chunk.content for chunk in self.chat_model().stream("Say hello.")), whole)

    def test_a_streamed_answer_with_its_usage(self):
        chunks = list(self.chat_model(stream_usage=True).stream("Say hello."))
        used = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
        self.assertEqual([usage["total_tokens"] for usage in used], [19])

    def test_calls_at_once(self):
        answers = asyncio.run(self.chat_model().abatch(["Say hello.", "Say goodbye."]))
        self.assertEqual([answer.usage_metadata["total_tokens"] for answer in answers], [19, 19])

    def test_tools(self):
        answer = self.chat_model().bind_tools([GetWeather]).invoke("How is the weather?")
        self.assertEqual([call["name"] for call in answer.tool_calls], ["GetWeather"])
        self.assertTrue(answer.tool_calls[0]["args"]["text"])

    def test_streamed_tools(self):
        chunks = list(self.chat_model().bind_tools([GetWeather]).stream("How is the weather?"))
        answer = sum(chunks[1:], chunks[0])
        self.assertEqual([call["name"] for call in answer.tool_calls], ["GetWeather"])
        self.assertTrue(answer.tool_calls[0]["args"]["text"])

    def test_structured_output(self):
        model = self.chat_model().with_structured_output(GetWeather, method="function_calling")
        self.assertIsInstance(model.invoke([HumanMessage("How is the weather?")]), GetWeather)


class Embeddings(OpenAiErrors, LangChainCase):
    def embed(self, key=None, model="acme/chat", text="hello", **settings):
        # It would cut long texts by a tokenizer that it fetches from the network.
        embeddings = OpenAIEmbeddings(
            base_url=self.world.base_url, api_key=key or self.key, model=model,
            check_embedding_ctx_length=False, **{"max_retries": 0, **settings},
        )
        return embeddings.embed_documents([text, "another"])

    def test_of_several_texts(self):
        vectors = self.embed()
        self.assertEqual(len(vectors), 2)
        self.assertTrue(all(isinstance(number, float) for vector in vectors for number in vector))

    def test_each_error_has_its_type(self):
        self.meet_troubles(self.embed, self.check_error, but=("max_tokens",))

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        self.assertTrue(self.embed(model="acme/flaky", max_retries=1))


class Responses(LangChainCase):
    def responses_model(self, **settings):
        return self.chat_model(use_responses_api=True, **settings)

    def test_a_whole_answer(self):
        answer = self.responses_model().invoke("Say hello.")
        self.assertTrue(answer.text)
        self.assertEqual(answer.response_metadata["model_name"], "acme/chat")
        self.assertEqual(answer.usage_metadata["total_tokens"], 19)

    def test_a_streamed_answer_with_its_usage(self):
        chunks = list(self.responses_model().stream("Say hello."))
        answer = sum(chunks[1:], chunks[0])
        self.assertEqual(answer.text, self.responses_model().invoke("Say hello.").text)
        self.assertEqual(answer.usage_metadata["total_tokens"], 19)

    def test_tools(self):
        answer = self.responses_model().bind_tools([GetWeather]).invoke("How is the weather?")
        self.assertEqual([call["name"] for call in answer.tool_calls], ["GetWeather"])

    def test_streamed_tools(self):
        chunks = list(self.responses_model().bind_tools([GetWeather]).stream("How is the weather?"))
        answer = sum(chunks[1:], chunks[0])
        self.assertEqual([call["name"] for call in answer.tool_calls], ["GetWeather"])
        self.assertTrue(answer.tool_calls[0]["args"]["text"])


class Errors(OpenAiErrors, LangChainCase):
    def invoke(self, key=None, model="acme/chat", text="Say hello.", **more):
        return self.chat_model(key, model, **more).invoke(text)

    def stream(self, key=None, model="acme/chat", text="Say hello.", **more):
        return list(self.chat_model(key, model, **more).stream(text))

    def test_each_error_of_a_whole_call_has_its_type(self):
        self.meet_troubles(self.invoke, self.check_error)

    def test_each_error_of_a_streamed_call_has_its_type(self):
        self.meet_troubles(self.stream, self.check_error)

    def test_a_stream_that_breaks_off_is_an_error(self):
        with self.assertRaises(openai.APIError):
            self.stream(model="acme/breaks")


class Retries(LangChainCase):
    def test_a_refusal_is_waited_for_as_told(self):
        _, key = self.world.one_call_per("SECOND")
        for _ in range(2):
            self.assertTrue(self.chat_model(key, max_retries=1).invoke("Say hello.").content)

    def test_an_upstream_that_is_unavailable_is_tried_again(self):
        answer = self.chat_model(model="acme/flaky", max_retries=1).invoke("Say hello.")
        self.assertEqual(answer.usage_metadata["total_tokens"], 19)


if __name__ == "__main__":
    unittest.main()
