"""A gateway and a simulated model server, as a person would start them, for tests of official SDKs."""

import json
import os
import pathlib
import subprocess
import tempfile
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target" / "debug"
OPERATOR_KEY = "mgmt_client-tests-0123456789-abcdefgh"


class World:
    """Starts both programs on free ports of this machine; `close` stops them and removes everything."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.model = subprocess.Popen(
            [BINARIES / "modelsim", "--call-tools"], stdout=subprocess.PIPE, text=True
        )
        self.model_url = self.model.stdout.readline().strip()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE")}
        environment["TOLLGATE_MANAGEMENT_KEY"] = OPERATOR_KEY
        self.gateway = subprocess.Popen(
            [BINARIES / "tollgate", "serve", "--listen", "127.0.0.1:0", "--data-dir", self.dir.name],
            stderr=subprocess.PIPE, text=True, env=environment,
        )
        self.addr = self._serving()
        # Read on, so that the gateway never waits for room in the pipe.
        self.reader = threading.Thread(target=lambda: list(self.gateway.stderr))
        self.reader.start()
        self.base_url = f"http://{self.addr}/v1"
        target = {"provider": "OPENAI_COMPATIBLE", "base_url": self.model_url, "target_model": "simulated"}
        self.manage("POST", "/v1/gateway/endpoints", {"slug": "acme/chat", "targets": [target]})

    def _serving(self):
        for line in self.gateway.stderr:
            said = json.loads(line)
            if said.get("message") == "serving":
                return said["addr"]
        raise AssertionError("the gateway never served")

    def manage(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://{self.addr}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {OPERATOR_KEY}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def customer(self, name, **model):
        """A group with one key for acme/chat; the group's id and the key."""
        group = self.manage("POST", "/v1/gateway/groups", {
            "metadata": {"external_entity_id": name},
            "models": [{"slug": "acme/chat", **model}, {"slug": "acme/gone"}],
            "hierarchy": {"limit_enforcement": "INDEPENDENT", "parent_group_id": None},
        })
        key = self.manage("POST", f"/v1/gateway/groups/{group['id']}/api_keys", {})
        return group["id"], key["api_key"]

    def close(self):
        for program in (self.gateway, self.model):
            program.terminate()
            program.wait(timeout=60)
        self.reader.join()
        for program in (self.gateway, self.model):
            for stream in (program.stdout, program.stderr):
                if stream:
                    stream.close()
        self.dir.cleanup()
