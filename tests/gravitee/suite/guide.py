"""The guide, followed: its commands, in its order, in an empty folder. What it says to do in Samarbeidsportalen and in Gravitee's console
is done here in their place."""

import json
import os
import re
import secrets
import subprocess
from pathlib import Path

import definitions
import http_client
from cases import KRR_SCOPE, WITHOUT_SCOPE, equal
from processes import PROJECT, Program, entry, portvakt_program
from register import Register
from tokens import claims

GUIDES = (PROJECT / "docs" / "gravitee.md", PROJECT / "docs" / "gravitee.nb.md")
CLIENT_ID = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"


def commands(guide):
    """Its blocks of commands."""
    return re.findall(r"^```sh\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)


def both_languages_have_the_same_commands():
    """The Norwegian guide has the same commands as the English one."""
    equal(commands(GUIDES[1]), commands(GUIDES[0]))


class Follower:
    def __init__(self, directory, gateway):
        self.directory = Path(directory)
        self.gateway = gateway
        self.register = Register()
        self.running = []
        self.token_address = None
        binaries = self.directory / "bin"
        binaries.mkdir()
        (binaries / "portvakt").symlink_to(portvakt_program())
        self.folder = self.directory / "portvakt"
        self.folder.mkdir()
        self.environment = {
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "CLIENT_ID": CLIENT_ID,
            "GATEWAY": f"http://{gateway.address}",
        }
        self.environment.pop("PORTVAKT_LOG", None)

    def close(self):
        for program in self.running:
            program.end()
        self.register.close()

    def follow(self):
        for block in commands(GUIDES[0]):
            block = block.replace("--environment test", "--environment simulator")
            if self.token_address:
                block = block.replace("http://127.0.0.1:8080", f"http://{self.token_address}")
                block = block.replace("http://portvakt.example.no:8080", f"http://{self.token_address}")
            if block.startswith("portvakt serve"):
                self.serve()
                continue
            output = self.run(block)
            if block.startswith("portvakt init"):
                self.samarbeidsportalen()
            elif block.startswith("portvakt gravitee"):
                self.console()
            elif "curl" in block:
                assert output.startswith("HTTP/1.1 200"), f"{block}{output}"
        freg, krr = self.register.take()
        for received, target, scope in (
            (freg, "/folkeregisteret/api/offentligutenhjemmel/v1/personer/18906299204", WITHOUT_SCOPE),
            (krr, "/rest/v1/personer", KRR_SCOPE),
        ):
            equal((received.target, claims(received.bearer, self.token_keys)["scope"]), (target, scope))

    def run(self, block):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def samarbeidsportalen(self):
        """The simulator knows the client and its new key from the file that `init` has written for it; ports are free ones."""
        arguments = ["portvakt", "simulate", "--listen", "127.0.0.1:0", "--clients", "clients.toml", "--log-format", "json"]
        simulator = self.start("the guide's simulator", arguments)
        token_endpoint = simulator.line(lambda line: "token endpoint" in line and entry(line).get("message")).split()[-1]
        issuer = token_endpoint.removesuffix("token")
        self.token_keys = http_client.send(issuer.removeprefix("http://").rstrip("/"), "GET", "/jwk").json["keys"]
        file = self.folder / "portvakt.toml"
        text = file.read_text().replace("http://127.0.0.1:8090/", issuer).replace('listen = "127.0.0.1:8080"', 'listen = "127.0.0.1:0"')
        file.write_text(text.replace('# listen = "127.0.0.1:9464"', 'listen = "127.0.0.1:0"'))

    def start(self, name, arguments):
        program = Program(name, arguments, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.running.append(program)
        return program

    def serve(self):
        portvakt = self.start("the guide's Portvakt", ["portvakt", "serve", "--log-format", "json"])
        tokens = portvakt.line(lambda line: '"message":"listening"' in line and entry(line).get("tokens"))
        self.token_address = tokens.removeprefix("http://")

    def console(self):
        """Import, fill in the key, subscribe: as the guide says."""
        key = (self.folder / "gravitee-api-key").read_text().strip()
        for name, consumer in (("freg", "CONSUMER_KEY"), ("krr", "KRR_CONSUMER_KEY")):
            printed = json.loads((self.folder / f"{name}.json").read_text())
            assert key not in json.dumps(printed), "the key stands in what was printed"
            definition = definitions.pointed_at(definitions.filled_in(printed, **{definitions.API_KEY: key}), self.register.address)
            imported = definitions.imported(definition, f"guide-{name}", "", "v4-emulation-engine")
            self.gateway.tell(deploy=imported)
            self.environment[consumer] = secrets.token_hex(16)
            plan = imported["plans"][0]["id"]
            self.gateway.tell(subscribe={"api": f"guide-{name}", "plan": plan, "key": self.environment[consumer]})


def followed(directory, gateway):
    follower = Follower(directory, gateway)
    try:
        follower.follow()
    finally:
        follower.close()
