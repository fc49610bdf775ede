"""Everything that a case needs, running: a gateway, Portvakt, Maskinporten's simulator, a register."""

import secrets
from dataclasses import dataclass, field

import definitions
import http_client
from processes import FREG_CLIENT, KRR_CLIENT, Portvakt
from register import Register
from tokens import claims

WITHOUT_HJEMMEL, WITH_HJEMMEL, CONTACT = "Lesetilgang uten hjemmel", "Lesetilgang med hjemmel", "Lesetilgang kontaktinformasjon"


@dataclass(frozen=True)
class Engine:
    """What the gateway runs a definition with."""

    name: str
    version: str
    execution_mode: str | None
    slug: str


ENGINES = (
    Engine("v2, engine v3", "v2", "v3", "v2-v3"),
    Engine("v2, engine v4", "v2", "v4-emulation-engine", "v2-v4"),
    Engine("v4", "v4", None, "v4"),
)


@dataclass
class Api:
    """A definition that the gateway runs."""

    path: str
    message: str  # what its consumers are told when there is no token
    consumer_keys: dict = field(default_factory=dict)  # by plan


class World:
    def __init__(self, directory, gateway, simulator):
        self.directory = directory
        self.gateway = gateway
        self.simulator = simulator
        self.register = Register()
        self.freg_key, self.krr_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.token_keys = simulator.keys()
        self.portvakt = Portvakt(directory, simulator, self.freg_key, self.krr_key)
        self._deployed = 0

    def close(self):
        self.portvakt.end()
        self.register.close()

    def restart_portvakt(self, **keys):
        """With nothing in its cache, at the address where it was; with other keys, if so."""
        self.portvakt.end()
        keys = {"freg_key": self.freg_key, "krr_key": self.krr_key, **keys}
        self.portvakt = Portvakt(self.directory, self.simulator, **keys, listen=self.portvakt.address)

    def start_anew(self):
        """As if nothing had happened before."""
        self.restart_portvakt()
        self.simulator.reset()
        self.register.refused.clear()
        self.register.redirect = None
        self.register.take()

    def token_url(self):
        return f"http://{self.portvakt.address}/token"

    def deploy(self, engine, name, prepare=lambda definition: definition, **properties):
        """A definition of deploy/gravitee, filled in for this world unless `properties` say otherwise, and a consumer for each plan."""
        key, iss = (self.freg_key, FREG_CLIENT) if name.startswith("freg") else (self.krr_key, KRR_CLIENT)
        good = {definitions.URL: self.token_url(), definitions.API_KEY: key, definitions.ISS: iss}
        definition = definitions.filled_in(definitions.read(name, engine.version), **{**good, **properties})
        self._deployed += 1
        id = f"{engine.slug}-{self._deployed}-{name}"
        imported = definitions.imported(
            prepare(definitions.pointed_at(definition, self.register.address)),
            id,
            f"/{engine.slug}-{self._deployed}",
            engine.execution_mode,
        )
        self.gateway.tell(deploy=imported)
        api = Api(definitions.context_path(imported), definitions.message(imported))
        for plan in imported["plans"]:
            api.consumer_keys[plan["name"]] = secrets.token_hex(16)
            self.gateway.tell(subscribe={"api": id, "plan": plan["id"], "key": api.consumer_keys[plan["name"]]})
        return api

    def call(self, api, plan, path, method="GET", body=None, headers=None, connection=None):
        """A consumer's call."""
        headers = {"X-Gravitee-Api-Key": api.consumer_keys[plan], **(headers or {})}
        return http_client.send(self.gateway.address, method, api.path + path, headers, body, connection)

    def claims(self, received):
        """Of the token that the register got, once its signature is verified."""
        return claims(received.bearer, self.token_keys)
