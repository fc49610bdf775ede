"""HTTP as a consumer speaks it."""

import http.client
import json
import time
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: list  # of (name in small letters, value)
    text: str
    seconds: float  # from the first byte sent to the last received

    @property
    def json(self):
        return json.loads(self.text)

    def header(self, name):
        return next((value for header, value in self.headers if header == name), None)


def send(address, method, target, headers=None, body=None, connection=None):
    """One request; on a connection of its own, or on the one that is given."""
    own = connection or http.client.HTTPConnection(address, timeout=90)
    try:
        start = time.perf_counter()
        own.request(method, target, body=body, headers=headers or {})
        response = own.getresponse()
        text = response.read().decode()
        seconds = time.perf_counter() - start
        return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], text, seconds)
    finally:
        if connection is None:
            own.close()
