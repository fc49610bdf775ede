"""The programs that take part: the gateway, Portvakt, and its simulator of Maskinporten. Each is ended with the `with` that started it."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import http_client

PROJECT = Path(__file__).resolve().parents[3]
BUILT = PROJECT / "target" / "gravitee"
CERTS = PROJECT / "certs"

PATIENCE = 60  # seconds for an event that ought to come at once: it only runs out when something is wrong


class Program:
    """A running program, and its log."""

    def __init__(self, name, arguments, **how):
        self.name = name
        self.log = []
        self._more = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, errors="replace", **how)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._more:
                self.log.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def line(self, wanted, since=0):
        """The first line of the log, from number `since` on, of which `wanted` gives something that is true: that thing."""
        seen = since

        def found():
            nonlocal seen
            while seen < len(self.log):
                seen += 1
                if result := wanted(self.log[seen - 1]):
                    return result
            return self._ended

        with self._more:
            result = self._more.wait_for(found, timeout=PATIENCE)
        if result and result is not True:
            return result
        end = "\n".join(self.log[-30:])
        raise AssertionError(f"{self.name} {'ended' if result else 'went on'} without writing what was waited for. Its log ends:\n{end}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def entry(line):
    """A line of Portvakt's log."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def portvakt_program():
    return os.environ["PORTVAKT_BIN"]


class Simulator(Program):
    """`portvakt simulate` with the quick start's clients: FREG's with a virksomhetssertifikat, KRR's with a registered key."""

    def __init__(self):
        clients = PROJECT / "deploy" / "quickstart" / "clients.toml"
        arguments = [portvakt_program(), "simulate", "--listen", "127.0.0.1:0", "--clients", str(clients), "--log-format", "json"]
        super().__init__("the simulator", arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        message = self.line(lambda line: "token endpoint" in line and entry(line).get("message"))
        self.token_endpoint = message.split()[-1]
        self.issuer = self.token_endpoint.removesuffix("token")
        self.address = self.issuer.removeprefix("http://").rstrip("/")

    def keys(self):
        return http_client.send(self.address, "GET", "/jwk").json["keys"]

    def set_fault(self, **fault):
        answer = http_client.send(self.address, "PUT", "/_simulator/fault", body=json.dumps(fault))
        assert answer.status == 204, answer

    def reset(self):
        http_client.send(self.address, "DELETE", "/_simulator/fault")
        http_client.send(self.address, "DELETE", "/_simulator/counters")

    def exchanges(self):
        """How many were asked for, by scope."""
        clients = http_client.send(self.address, "GET", "/_simulator/counters").json["clients"]
        return {scope: tally["received"] for scopes in clients.values() for scope, tally in scopes.items()}

    def wait_for_exchanges(self, number):
        answer = http_client.send(self.address, "GET", f"/_simulator/counters?at_least={number}&timeout={PATIENCE}")
        assert answer.status == 200, f"fewer than {number} exchanges came: {answer.text}"


FREG_CLIENT, KRR_CLIENT = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"  # as in the quick start


class Portvakt(Program):
    """`portvakt serve`. `keys` are the API keys of the two callers; None: this caller has only a key that nobody knows."""

    def __init__(self, directory, simulator, freg_key, krr_key, listen="127.0.0.1:0"):
        def digest(key):
            return hashlib.sha256((key or os.urandom(16).hex()).encode()).hexdigest()

        configuration = f"""
[server]
listen = "{listen}"

[management]
listen = "127.0.0.1:0"

[environment.simulator]
issuer = "{simulator.issuer}"
token_endpoint = "{simulator.token_endpoint}"

[[integration]]
name = "freg"
client_id = "{FREG_CLIENT}"
environment = "simulator"
key = {{ pkcs12_file = "{CERTS}/virksomhet.p12", password_file = "{CERTS}/virksomhet.p12.password" }}

[[integration]]
name = "krr"
client_id = "{KRR_CLIENT}"
environment = "simulator"
key = {{ private_key_file = "{CERTS}/registered-2048.pem", kid = "portvakt-test-2048" }}

[[caller]]
name = "gateway-freg"
keys = [{{ sha256 = "{digest(freg_key)}" }}]
may = [{{ integration = "freg", scopes = ["folkeregister:deling/*"] }}]

[[caller]]
name = "gateway-krr"
keys = [{{ sha256 = "{digest(krr_key)}" }}]
may = [{{ integration = "krr", scopes = ["krr:global/kontaktinformasjon.read"] }}]
"""
        file = Path(directory) / "portvakt.toml"
        file.write_text(configuration)
        arguments = [portvakt_program(), "serve", "--config", str(file), "--log-format", "json"]
        environment = {**os.environ, "PORTVAKT_LOG": "portvakt=debug"}
        super().__init__("Portvakt", arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        tokens = self.line(lambda line: '"message":"listening"' in line and entry(line).get("tokens"))
        self.address = tokens.removeprefix("http://")

    def said_of(self, request_id):
        """What the log says of a request that got no token: the line of the exchange that it began, which is there at any level, or its
        own, which comes after that one and only at debug."""
        own = self.line(lambda line: request_id in line and "description" in line and entry(line))
        lines = (entry(line) for line in self.log if request_id in line)
        return next((line for line in lines if line.get("message") == "no token"), own)

    def halt(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Gateway(Program):
    """Gravitee's gateway with one version of the HTTP Callout policy."""

    def __init__(self, directory, java, callout):
        self.callout = callout
        home = Path(directory) / f"gateway-{callout}"
        shutil.copytree(PROJECT / "tests" / "gravitee" / "gateway" / "home", home)
        (home / "plugins").mkdir()
        for plugin in [*(BUILT / "plugins").glob("*.zip"), *(BUILT / "callouts" / callout).glob("*.zip")]:
            (home / "plugins" / plugin.name).symlink_to(plugin)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        properties = {
            "gravitee.home": home,
            "gravitee.conf": home / "config" / "gravitee.yml",
            "portvakt.port": port,
            "logback.configurationFile": home / "config" / "logback.xml",
            "vertx.disableFileCPResolving": "true",
            "java.net.preferIPv4Stack": "true",
        }
        options = [f"-D{name}={value}" for name, value in properties.items()]
        arguments = [java, "-Xmx512m", *options, "-cp", f"{BUILT}/classes:{BUILT}/lib/*", "portvakt.gravitee.Gateway"]
        super().__init__(f"the gateway with callout {callout}", arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            end = "\n".join(self.log[-60:])
            raise AssertionError(f"{self.name} has ended. Its log ends:\n{end}")
        answer = json.loads(line)
        assert "error" not in answer, f"{self.name}: {answer['error']}"

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        self._answer()


def free_port():
    """The gateway cannot say which port it was given, so it is told one that was free just now: below those that the kernel gives to
    whoever asks for any, for it takes seconds until the gateway listens there."""
    ports = list(range(20000, 32000))
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
