"""What a client written for Bifrost's page about model configs sees, and what the SDKs make of a budget that is used up.

The client is the plainest there is: JSON over HTTP, with the fields of that page and no others.
"""

import concurrent.futures
import json
import unittest
import urllib.error
import urllib.request
import uuid

import anthropic
import openai

from world import ClientCase

MESSAGES = [{"role": "user", "content": "Say hello."}]
# The simulated model reports 10 prompt and 9 completion tokens, so a call costs 0.60 USD.
PRICING = {"input_per_million": "6000", "output_per_million": "60000"}
CALL_USD = 0.6


class ModelConfigs:
    """The client of the published page."""

    def __init__(self, world):
        self.base, self.key = f"{world.url}/api/governance", world.management_key

    def send(self, method, path, body=None):
        request = urllib.request.Request(f"{self.base}{path}", method=method)
        request.add_header("authorization", f"Bearer {self.key}")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, data) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def create(self, **fields):
        status, answer = self.send("POST", "/model-configs", fields)
        assert status == 200, answer
        return answer["model_config"]

    def get(self, config):
        return self.send("GET", f"/model-configs/{config['id']}")[1]["model_config"]

    def delete(self, config):
        self.send("DELETE", f"/model-configs/{config['id']}")


class Budgets(ClientCase):
    def setUp(self):
        self.slug = self.world.priced_endpoint(PRICING)
        self.configs = ModelConfigs(self.world)
        self.group, self.key = self.world.customer()
        self.openai = openai.OpenAI(base_url=self.world.base_url, api_key=self.key, max_retries=0)
        self.addCleanup(self.openai.close)

    def config(self, **fields):
        config = self.configs.create(**{"model_name": self.slug, **fields})
        self.addCleanup(self.configs.delete, config)
        return config

    def call(self):
        return self.openai.chat.completions.create(model=self.slug, messages=MESSAGES, max_tokens=9)

    def test_a_config_is_created_listed_updated_and_deleted_as_published(self):
        status, answer = self.configs.send("POST", "/model-configs", {
            "model_name": self.slug,
            "budgets": [{"max_limit": 10, "reset_duration": "1d"}, {"max_limit": 100.5, "reset_duration": "1M"}],
            "rate_limit": {"request_max_limit": 100, "request_reset_duration": "1h"},
        })
        self.assertEqual(status, 200)
        self.assertIsInstance(answer["message"], str)
        config = answer["model_config"]
        self.addCleanup(self.configs.delete, config)
        self.assertEqual((config["scope"], config["calendar_aligned"]), ("global", False))
        self.assertNotIn("scope_id", config)
        uuid.UUID(config["id"])
        lines = [(line["max_limit"], line["reset_duration"], line["current_usage"]) for line in config["budgets"]]
        self.assertEqual(lines, [(10, "1d", 0), (100.5, "1M", 0)])
        self.assertEqual(config["rate_limit"]["request_max_limit"], 100)
        self.assertNotIn("token_max_limit", config["rate_limit"])

        status, listed = self.configs.send("GET", f"/model-configs?search={self.slug.upper()}&limit=5")
        self.assertEqual((status, listed["limit"], listed["offset"]), (200, 5, 0))
        self.assertIn(config["id"], [found["id"] for found in listed["model_configs"]])

        status, answer = self.configs.send("PUT", f"/model-configs/{config['id']}", {
            "budgets": [{"id": config["budgets"][0]["id"], "max_limit": 20, "reset_duration": "1d"}],
        })
        self.assertEqual(status, 200, answer)
        self.assertEqual([line["max_limit"] for line in answer["model_config"]["budgets"]], [20])

        status, answer = self.configs.send("POST", "/model-configs", {"model_name": self.slug})
        self.assertEqual((status, answer["is_bifrost_error"], answer["status_code"]), (409, False, 409))
        self.assertIn(self.slug, answer["error"]["message"])
        self.assertEqual(self.configs.send("DELETE", f"/model-configs/{config['id']}")[0], 200)
        self.assertEqual(self.configs.send("DELETE", f"/model-configs/{config['id']}")[0], 404)

    def test_of_two_creates_that_race_one_wins(self):
        body = {"model_name": f"race-{uuid.uuid4().hex}"}
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            answers = list(both.map(lambda _: self.configs.send("POST", "/model-configs", body), range(2)))
        self.assertEqual(sorted(status for status, _ in answers), [200, 409])
        for status, answer in answers:
            if status == 200:
                self.configs.delete(answer["model_config"])

    def test_fifty_calls_at_once_spend_no_more_than_the_budget_and_all_of_it_is_told(self):
        config = self.config(budgets=[{"max_limit": 10, "reset_duration": "1d"}])

        def attempt(_):
            try:
                self.call()
                return 200, None
            except openai.APIStatusError as error:
                return error.status_code, error.body

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            first = list(pool.map(attempt, range(50)))
        used = self.configs.get(config)["budgets"][0]["current_usage"]
        passed = sum(1 for status, _ in first if status == 200)
        self.assertEqual(used, round(passed * CALL_USD, 9))
        self.assertLessEqual(used, 10)
        while (last := attempt(None))[0] == 200:
            passed += 1
        line = self.configs.get(config)["budgets"][0]
        self.assertEqual((passed, line["current_usage"]), (16, 9.6))
        status, body = last
        limit = body["limit"]
        self.assertEqual((status, body["code"], limit["type"]), (402, "budget_exceeded", "USD"))
        self.assertEqual((limit["model_config_id"], limit["budget_id"]), (config["id"], line["id"]))
        self.assertEqual(limit["threshold"], 10)
        for named in (config["id"], line["id"], "10 USD", limit["resets_at"]):
            self.assertIn(named, body["message"])

    def test_a_budget_of_a_user_holds_for_whom_the_sdk_names(self):
        self.config(scope="user", scope_id="ada", budgets=[{"max_limit": 0.5, "reset_duration": "1d"}])
        with self.assertRaises(openai.APIStatusError) as refused:
            self.openai.chat.completions.create(model=self.slug, messages=MESSAGES, max_tokens=9, user="ada")
        self.assertEqual(refused.exception.status_code, 402)
        self.openai.chat.completions.create(model=self.slug, messages=MESSAGES, max_tokens=9, user="grace")

    def test_anthropics_sdk_hears_of_a_budget_in_its_own_words(self):
        self.config(budgets=[{"max_limit": 0.5, "reset_duration": "1w"}])
        client = anthropic.Anthropic(base_url=self.world.url, api_key=self.key, max_retries=0)
        self.addCleanup(client.close)
        with self.assertRaises(anthropic.APIStatusError) as refused:
            client.messages.create(model=self.slug, messages=MESSAGES, max_tokens=9)
        self.assertEqual(refused.exception.status_code, 402)
        self.assertEqual(refused.exception.body["error"]["type"], "billing_error")

    def test_a_key_sees_its_own_budget_without_a_management_key(self):
        config = self.config(
            model_name="*", scope="virtual_key", scope_id=self.key.split(".")[0],
            budgets=[{"max_limit": 5, "reset_duration": "1M"}],
        )
        self.call()
        request = urllib.request.Request(f"{self.configs.base}/virtual-keys/quota", headers={"x-bf-vk": self.key})
        with urllib.request.urlopen(request) as answer:
            quota = json.loads(answer.read())
        self.assertEqual([line["id"] for line in quota["budgets"]], [config["budgets"][0]["id"]])
        self.assertEqual((quota["is_active"], quota["budgets"][0]["current_usage"]), (True, CALL_USD))


if __name__ == "__main__":
    unittest.main()
