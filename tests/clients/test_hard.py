"""What the official SDKs (Python) make of a stream that a limit ends: an answer that reached its bound, in every dialect."""

import unittest

import anthropic
import openai

from world import ClientCase

MESSAGES = [{"role": "user", "content": "Say hello."}]
# What the prompt is counted as, and room for two of the nine words that the model writes. Each is one token or two.
ROOM = 11 + 4


class Hard(ClientCase):
    def setUp(self):
        limit = {"type": "TOKEN", "unit": "DAY", "threshold": ROOM}
        _, key = self.world.customer(usage_limits=[limit], admission="hard")
        self.openai = openai.OpenAI(base_url=self.world.base_url, api_key=key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=self.world.url, api_key=key, max_retries=0)
        self.addCleanup(self.openai.close)
        self.addCleanup(self.anthropic.close)

    def is_cut(self, text):
        self.assertIn(text, ("word ", "word word ", "word word word "))

    def test_a_chat_ends_with_length_and_its_usage(self):
        chunks = list(self.openai.chat.completions.create(
            model="acme/chat", messages=MESSAGES, max_tokens=50, stream=True, stream_options={"include_usage": True},
        ))
        self.is_cut("".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices))
        reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        self.assertEqual(reasons, ["length"])
        self.assertLessEqual(chunks[-1].usage.total_tokens, ROOM)

    def test_completions_end_with_length(self):
        stream = self.openai.completions.create(
            model="acme/chat", prompt="Say hello to all of them.", max_tokens=50, stream=True,
        )
        self.assertEqual([choice.finish_reason for chunk in stream for choice in chunk.choices][-1], "length")

    def test_a_response_is_incomplete_for_its_bound(self):
        # The helper for final responses takes complete ones alone; it reads the same events.
        with self.openai.responses.stream(model="acme/chat", input="Say hello.", max_output_tokens=50) as stream:
            *_, last = stream
        self.assertEqual(last.type, "response.incomplete")
        response = last.response
        self.assertEqual((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        self.is_cut(response.output_text)

    def test_a_message_stops_at_max_tokens(self):
        with self.anthropic.messages.stream(model="acme/chat", messages=MESSAGES, max_tokens=50) as stream:
            message = stream.get_final_message()
        self.assertEqual(message.stop_reason, "max_tokens")
        self.is_cut(message.content[0].text)

    def test_a_whole_answer_is_bounded_by_what_fits(self):
        answer = self.openai.chat.completions.create(model="acme/chat", messages=MESSAGES, max_tokens=50)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertLessEqual(answer.usage.total_tokens, ROOM)
        with self.assertRaises(openai.RateLimitError) as caught:
            self.openai.chat.completions.create(model="acme/chat", messages=MESSAGES, max_tokens=50)
        self.assertEqual(caught.exception.code, "usage_limit_exceeded")


if __name__ == "__main__":
    unittest.main()
