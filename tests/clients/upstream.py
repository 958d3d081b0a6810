"""A model server with faults: what goes wrong is named by the first part of the path.

/NNN    always that status        /slow    no answer until it is closed
/flaky  503, then the answer of the simulated model, in turn       /breaks  an answer that breaks off midway
"""

import http.server
import json
import threading
import urllib.request


class Upstream:
    """Serves on a free port until `close`. Answers that are none of its faults come from `model_url`."""

    def __init__(self, model_url):
        self.model_url = model_url
        self.failed_last = False
        self.closing = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(upstream):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                _, fault, route = self.path.split("/", 2)
                upstream.respond(self, fault, route, body)

            def send(self, status, content_type, body, announced=None):
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(announced or len(body)))
                if status == 429:
                    self.send_header("retry-after", "7")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def respond(self, caller, fault, route, body):
        if fault == "slow":
            self.closing.wait()
            caller.close_connection = True
        elif fault == "breaks":
            content_type, answer = self._simulated(route, body)
            caller.send(200, content_type, answer[: len(answer) // 2], announced=len(answer))
            caller.close_connection = True
        elif fault == "flaky":
            self.failed_last = not self.failed_last
            caller.send(503, *failure(route)) if self.failed_last else caller.send(200, *self._simulated(route, body))
        else:
            caller.send(int(fault), *failure(route))

    def _simulated(self, route, body):
        request = urllib.request.Request(
            f"{self.model_url}/{route}", data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return answer.headers["content-type"], answer.read()


def failure(route):
    """An error in the form that clients of this route know."""
    error = {"message": "The model is out of sorts.", "type": "server_error", "param": None, "code": "out_of_sorts"}
    envelope = {"error": error}
    if route.startswith("messages"):
        envelope = {"type": "error", "error": error, "request_id": "req_of_upstream"}
    return "application/json", json.dumps(envelope).encode()
