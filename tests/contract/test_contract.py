"""The server against its own document: whatever is sent, nothing breaks and no answer is undescribed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import openapi_spec_validator
import world

SCHEMATHESIS = pathlib.Path(sys.executable).parent / "schemathesis"
SEED = 20261121
EXAMPLES_MAX = 30
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "ignored_auth",
]
# Where nothing else is wrong with a request, its method is.
CHECKS_OF_METHODS = ["unsupported_method", "allow_header_conformance"]

# Read by the gateway from the folder it is started in.
SETTINGS = """
[management]
rate_limit_per_second = 0
[webhooks]
allow_private = true
"""
# Nobody listens there, which is said at once.
RECEIVER = "http://127.0.0.1:9/hook"


class Cast:
    """Objects for every operation that needs one. What one operation changes or deletes, no other relies on."""

    def __init__(self, world):
        self.manage = world.manage
        self.chat = self.manage("GET", "/v1/gateway/endpoints")["items"][0]
        self.target = self.chat["targets"][0]
        self.home = self.manage("GET", "/v1/workspaces")["items"][0]["id"]
        self.customer = self._group("customer")
        self.key = self._key(self.customer)
        made = self.manage("POST", "/v1/workspaces", {"name": "tenant"})
        # A workspace has one webhook: the one that is deleted is another's.
        self.tenant = tenant = made["id"]
        self.manage("PUT", "/v1/gateway/webhook", {"url": RECEIVER})
        self._receive(world, made["management_key"])
        keys = f"/v1/workspaces/{tenant}/management_keys"
        self.manage("POST", "/v1/secrets", {"name": "doomed", "value": "nothing"})
        doomed = self._group("doomed")
        read = self._config("read")
        self.parameters = {
            ("group_get", "group_usage", "group_history", "group_limits", "key_list", "key_mint", "key_register"): {"id": self.customer},
            ("group_update",): {"id": self._group("changed")},
            ("group_delete",): {"id": self._group("deleted")},
            ("key_get",): {"id": self.customer, "prefix": self.key["prefix"]},
            ("key_revoke",): {"id": doomed, "prefix": self._key(doomed)["prefix"]},
            ("endpoint_get", "endpoint_test"): {"id": self.chat["id"]},
            ("endpoint_update",): {"id": self._endpoint("acme/changed")},
            ("endpoint_delete",): {"id": self._endpoint("acme/deleted")},
            ("secret_delete",): {"name": "doomed"},
            ("workspace_get",): {"id": self.home},
            ("workspace_update", "management_key_list", "management_key_mint"): {"id": tenant},
            ("management_key_delete",): {
                "id": tenant, "key_id": self.manage("POST", keys, {"scope": "manage"})["id"],
            },
            ("model",): {"slug": "acme/chat"},
            ("model_config_get",): {"id": read["id"]},
            ("model_config_update",): {"id": self._config("changed")["id"]},
            ("model_config_delete",): {"id": self._config("deleted")["id"]},
            ("budget_reset",): {"id": read["budget"]["id"]},
            ("rate_limit_reset",): {"id": read["rate_limit_id"]},
            ("provider_put", "provider_delete"): {"name": self.target["provider"].lower()},
            ("decision_get",): {"request_id": self._refused(world)},
            ("ledger_get", "ledger_correct"): {"request_id": self._served(world)},
        }

    def _receive(self, world, key):
        """Gives the workspace of this management key a webhook."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        body = json.dumps({"url": RECEIVER}).encode()
        urllib.request.urlopen(urllib.request.Request(
            f"{world.url}/v1/gateway/webhook", body, headers, method="PUT",
        )).close()

    def _group(self, name):
        return self.manage("POST", "/v1/gateway/groups", {
            "metadata": {"external_entity_id": name},
            "models": [{"slug": "acme/chat"}],
            "hierarchy": {"limit_enforcement": "INDEPENDENT", "parent_group_id": None},
        })["id"]

    def _key(self, group):
        return self.manage("POST", f"/v1/gateway/groups/{group}/api_keys", {})

    def _endpoint(self, slug):
        return self.manage("POST", "/v1/gateway/endpoints", {"slug": slug, "targets": [self.target]})["id"]

    def _config(self, model):
        return self.manage("POST", "/api/governance/model-configs", {
            "model_name": model,
            "budgets": [{"max_limit": 10, "reset_duration": "1d"}],
            "rate_limit": {"token_max_limit": 10, "token_reset_duration": "1d"},
        })["model_config"]

    def _refused(self, world):
        """The id of a call that was turned away: refusals are kept longest."""
        try:
            self._call(world, "acme/unknown")
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.headers["x-request-id"]
        raise AssertionError("a model that nobody listed was served")

    def _served(self, world):
        """The id of a call that is in the ledger."""
        called = self._call(world, "acme/chat")
        while True:
            try:
                self.manage("GET", f"/v1/gateway/ledger/{called}")
                return called
            except urllib.error.HTTPError as missing:
                with missing:
                    assert missing.code == 404, missing.code

    def _call(self, world, model):
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]}).encode()
        headers = {"authorization": f"Bearer {self.key['api_key']}", "content-type": "application/json"}
        request = urllib.request.Request(f"{world.base_url}/chat/completions", body, headers)
        with urllib.request.urlopen(request) as answer:
            return answer.headers["x-request-id"]

    def configuration(self, names_objects):
        """Who asks, by security scheme; and, where wanted, for which of the objects."""
        said = textwrap.dedent(f"""
            [auth.openapi]
            management_key = {{ bearer = "{world.OPERATOR_KEY}" }}
            management_key_header = {{ api_key = "Api-Key {world.OPERATOR_KEY}" }}
            customer_key = {{ bearer = "{self.key["api_key"]}" }}
            customer_key_header = {{ api_key = "{self.key["api_key"]}" }}
        """)
        if not names_objects:
            return said
        said += f'[parameters]\n"header.x-tollgate-workspace" = "{self.home}"\n'
        said += f'"body.url" = {{ dictionary = "receivers" }}\n'
        said += f'"body.group_id" = {{ dictionary = "customers" }}\n"body.api_key_prefix" = {{ dictionary = "prefixes" }}\n'
        said += f'[dictionaries.receivers]\nvalues = ["{RECEIVER}"]\n'
        said += f'[dictionaries.customers]\nvalues = ["{self.customer}"]\n'
        said += f'[dictionaries.prefixes]\nvalues = ["{self.key["prefix"]}"]\n'
        for operations, parameters in self.parameters.items():
            named = ", ".join(f'"path.{name}" = "{value}"' for name, value in parameters.items())
            said += f"[[operations]]\ninclude-operation-id = {json.dumps(operations)}\nparameters = {{ {named} }}\n"
        said += f'[[operations]]\ninclude-operation-id = ["webhook_delete"]\n'
        said += f'parameters = {{ "header.x-tollgate-workspace" = "{self.tenant}" }}\n'
        return said


class Contract(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        pathlib.Path(self.dir.name, "tollgate.toml").write_text(SETTINGS)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.dir.name)
        self.world = world.World()
        self.addCleanup(self.world.close)
        self.document = self.world.base_url.removesuffix("/v1") + "/openapi.json"

    def test_the_document_is_valid_openapi(self):
        with urllib.request.urlopen(self.document) as answer:
            document = json.load(answer)
        self.assertTrue(document["openapi"].startswith("3.1."))
        openapi_spec_validator.validate(document)

    def test_no_answer_breaks_the_contract_whatever_object_is_named(self):
        self.explore(names_objects=False)

    def test_no_answer_breaks_the_contract_for_objects_that_there_are(self):
        accepted = self.explore(names_objects=True)
        # Or the run would have shown little. What is left over needs a signature over its very body.
        self.assertEqual(
            [operation for operation, count in accepted.items() if count == 0],
            ["POST /v1/gateway/groups/{id}/api_keys/register"],
        )

    def explore(self, names_objects):
        """Asks every operation; how many requests that the document calls right were carried out, by operation."""
        configuration = pathlib.Path(self.dir.name, "schemathesis.toml")
        configuration.write_text(Cast(self.world).configuration(names_objects))
        checks = CHECKS + (CHECKS_OF_METHODS if names_objects else [])
        report = pathlib.Path(self.dir.name, "report.json")
        done = subprocess.run(
            [
                SCHEMATHESIS, "--config-file", configuration, "run", self.document,
                "--phases", "examples,coverage,fuzzing", "--checks", ",".join(checks),
                "--max-examples", str(EXAMPLES_MAX), "--seed", str(SEED), "--generation-database", "none",
                "--continue-on-failure", "--report", "json", "--report-json-path", report,"--warnings", "off", "--no-color",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        phases = json.loads(report.read_text())["valid_rates"].items()
        return {name: sum(phase["accepted"] for phase in found.values()) for name, found in phases}


if __name__ == "__main__":
    unittest.main()
