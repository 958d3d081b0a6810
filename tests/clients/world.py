"""A gateway and a simulated model server, as a person would start them, for tests of official SDKs."""

import itertools
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import typing
import unittest
import urllib.request

from upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target" / "debug"
OPERATOR_KEY = "mgmt_client-tests-0123456789-abcdefgh"
SETTINGS = {
    "TOLLGATE_MANAGEMENT_KEY": OPERATOR_KEY,
    # Small enough for a test to pass it.
    "TOLLGATE__SERVER__MAX_BODY_MB": "2",
    "TOLLGATE__UPSTREAM__FIRST_BYTE_TIMEOUT": "1s",
    # Small enough for a test to leave no more than that.
    "TOLLGATE__LIMITS__HARD_MIN_OUTPUT": "2",
    # Receivers of webhooks listen on this machine.
    "TOLLGATE__WEBHOOKS__ALLOW_PRIVATE": "true",
}
TOO_LARGE = "x" * ((2 << 20) + 1024)
UPSTREAM_STATUSES = (400, 401, 404, 409, 422, 429, 500, 503, 529)


class Trouble(typing.NamedTuple):
    """A call that goes wrong: what is different about it, and the answer."""

    status: int
    code: str
    call: dict


# `key` "limited" stands for the key of a customer whose limit is used up.
TROUBLES = [
    Trouble(400, "invalid_request", {"max_tokens": -1}),
    Trouble(401, "invalid_api_key", {"key": "sky_nobody.nothing"}),
    Trouble(403, "model_not_allowed", {"model": "acme/secret"}),
    Trouble(404, "model_not_found", {"model": "acme/gone"}),
    Trouble(413, "request_too_large", {"text": TOO_LARGE}),
    Trouble(429, "rate_limit_exceeded", {"key": "limited"}),
    Trouble(502, "upstream_unavailable", {"model": "acme/down"}),
    Trouble(502, "upstream_refused_credentials", {"model": "acme/fails-401"}),
    Trouble(504, "upstream_timeout", {"model": "acme/slow"}),
] + [
    Trouble(status, "out_of_sorts", {"model": f"acme/fails-{status}"})
    for status in UPSTREAM_STATUSES
    if status != 401
]


class World:
    """Starts both programs on free ports of this machine; `close` stops them and removes everything."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.model = subprocess.Popen(
            [BINARIES / "modelsim", "--call-tools"], stdout=subprocess.PIPE, text=True
        )
        model_url = self.model.stdout.readline().strip()
        self.upstream = Upstream(model_url)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE")}
        self.gateway = subprocess.Popen(
            [BINARIES / "tollgate", "serve", "--listen", "127.0.0.1:0", "--data-dir", self.dir.name],
            stderr=subprocess.PIPE, text=True, env=environment | SETTINGS,
        )
        self.url = f"http://{self._serving()}"
        # Read on, so that the gateway never waits for room in the pipe.
        self.reader = threading.Thread(target=lambda: list(self.gateway.stderr))
        self.reader.start()
        self.base_url = f"{self.url}/v1"
        self.slugs = ["acme/gone"]
        self.names = (f"customer-{number}" for number in itertools.count())
        self.priced = itertools.count()
        self.management_key = OPERATOR_KEY
        self.model_url = model_url
        self._endpoints()

    def _serving(self):
        for line in self.gateway.stderr:
            said = json.loads(line)
            if said.get("message") == "serving":
                return said["addr"]
        raise AssertionError("the gateway never served")

    def _endpoints(self):
        # Bound but not listening: whoever connects is refused, and nobody else gets the port.
        self.closed = socket.socket()
        self.closed.bind(("127.0.0.1", 0))
        self._endpoint("acme/chat", self.model_url)
        self._endpoint("acme/down", f"http://127.0.0.1:{self.closed.getsockname()[1]}/v1")
        for fault in ("slow", "flaky", "breaks"):
            self._endpoint(f"acme/{fault}", f"{self.upstream.url}/{fault}")
        for status in UPSTREAM_STATUSES:
            self._endpoint(f"acme/fails-{status}", f"{self.upstream.url}/{status}")

    def priced_endpoint(self, pricing):
        """An endpoint of its own whose tokens cost this much; its slug, which customers made from now on may call."""
        slug = f"acme/priced-{next(self.priced)}"
        self._endpoint(slug, self.model_url, pricing=pricing)
        return slug

    def _endpoint(self, slug, base_url, **fields):
        target = {"provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": "simulated", **fields}
        self.manage("POST", "/v1/gateway/endpoints", {"slug": slug, "targets": [target]})
        self.slugs.append(slug)

    def manage(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {OPERATOR_KEY}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def customer(self, **limits):
        """A group that may call every endpoint, acme/chat within these limits; the group's id and its key."""
        group = self.manage("POST", "/v1/gateway/groups", {
            "metadata": {"external_entity_id": next(self.names)},
            "models": [{"slug": slug, **(limits if slug == "acme/chat" else {})} for slug in self.slugs],
            "hierarchy": {"limit_enforcement": "INDEPENDENT", "parent_group_id": None},
        })
        key = self.manage("POST", f"/v1/gateway/groups/{group['id']}/api_keys", {})
        return group["id"], key["api_key"]

    def one_call_per(self, unit):
        """A customer with one call of acme/chat per SECOND, MINUTE or DAY."""
        kind = "usage_limits" if unit == "DAY" else "rate_limits"
        return self.customer(**{kind: [{"type": "REQUEST", "unit": unit, "threshold": 1}]})

    def close(self):
        self.upstream.close()
        for program in (self.gateway, self.model):
            program.terminate()
            program.wait(timeout=60)
        self.reader.join()
        for program in (self.gateway, self.model):
            for stream in (program.stdout, program.stderr):
                if stream:
                    stream.close()
        self.closed.close()
        self.dir.cleanup()


class ClientCase(unittest.TestCase):
    """Tests of one client; they share a world and a customer without limits, whose key is `self.key`."""

    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.close)
        _, cls.key = cls.world.customer()

    def meet_troubles(self, call, expected, but=()):
        """Runs into each trouble but those that this call cannot have.

        `call` takes `key`, `model`, `text` and `max_tokens`, of which a trouble sets one. `expected` looks at the
        exception and the trouble.
        """
        for trouble in (trouble for trouble in TROUBLES if not set(but) & set(trouble.call)):
            with self.subTest(f"{trouble.status} {trouble.code}"):
                changes = dict(trouble.call)
                if changes.get("key") == "limited":
                    _, changes["key"] = self.world.one_call_per("MINUTE")
                    call(**changes)
                with self.assertRaises(Exception) as caught:
                    call(**changes)
                expected(caught.exception, trouble)
