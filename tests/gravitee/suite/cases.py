"""What the gateway, Portvakt and the definitions must do together. A case starts with a Portvakt that holds no token."""

import json
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection

import definitions
import http_client
from processes import entry
from register import Register
from world import CONTACT, WITH_HJEMMEL, WITHOUT_HJEMMEL

WITHOUT_SCOPE = "folkeregister:deling/offentligutenhjemmel"
WITH_SCOPES = f"folkeregister:deling/offentligmedhjemmel {WITHOUT_SCOPE}"
KRR_SCOPE = "krr:global/kontaktinformasjon.read"
PERSON = "/v1/personer/18906299204"
PERSONS = json.dumps({"personidentifikatorer": ["23079422568"]})


@dataclass
class Case:
    run: callable
    core: bool  # also with the other versions of the callout policy
    together: bool  # all engines at once, for it takes long
    versions: tuple

    @property
    def title(self):
        return self.run.__doc__.splitlines()[0].rstrip(".")


CASES = []


def case(core=False, together=False, versions=("v2", "v4")):
    def add(run):
        CASES.append(Case(run, core, together, versions))
        return run

    return add


@dataclass
class Seen:
    """A row of the guide's table: what is wrong, what the consumer sees and how soon, and what Portvakt's log says."""

    wrong: str
    status: int
    seconds: float
    log: str


def equal(found, expected, what=""):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def at_the_register(world, api, target, scope):
    """One request came, at this target, with a token of this scope and with no key of the consumer's or of Portvakt's."""
    [received] = world.register.take()
    equal(received.target, target, "target at the register")
    equal(set(world.claims(received)["scope"].split()), set(scope.split()), "scope of the token")
    everything = f"{received.target} {received.headers} {received.body}"
    for key in [*api.consumer_keys.values(), world.freg_key, world.krr_key]:
        assert key not in everything, f"a key came to the register: {everything}"
    equal(received.values("x-gravitee-api-key"), [], "the consumer's header")
    return received


def told_no_token(world, api, answer, status=503):
    """The consumer got the definition's own words and the request's ID, and nothing else; the register got nothing."""
    equal((answer.status, answer.header("content-type")), (status, "application/json"), answer)
    request_id = str(uuid.UUID(answer.json["request_id"]))
    # The v3 engine leaves the header out of an error's answer: the body is where the ID is found.
    equal(answer.header("x-gravitee-request-id") or request_id, request_id, "the header's ID")
    expected = {"error": "register_unavailable", "message": api.message, "request_id": request_id}
    if status == 504:
        expected["message"] = answer.json["message"]
        assert "did not answer in time" in answer.json["message"], answer
    equal(answer.json, expected, "the consumer's answer")
    equal(world.register.take(), [], "at the register")
    return request_id


def said(world, request_id):
    """What Portvakt's log says of it."""
    return in_words(world, world.portvakt.said_of(request_id))


def in_words(world, line):
    """A line of Portvakt's log, as the guide has it."""
    text = line.get("description") or f"{line['error']} {line['remedy']}"
    text = re.sub("[0-9a-f]{32}", "…", text)  # a trace ID is another one each time
    return f"{text.replace(world.simulator.token_endpoint, 'https://test.maskinporten.no/token')} ({line['level'].lower()})"


def failed_exchange(line):
    """What a line of the log says, if it is of an exchange that failed."""
    return entry(line) if entry(line).get("message") == "no token" else None


def ask_freg(world, apis, **how):
    return world.call(apis.freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}", **how)


def untouched(engine, name):
    """A property's value as we ship it."""
    properties = definitions.api_of(definitions.read("freg-test", engine.version))["properties"]
    return next(prop["value"] for prop in properties if prop["key"] == name)


# What works.


@case(core=True)
def without_hjemmel(world, engine, apis):
    """The plan without hjemmel reads /uten-hjemmel."""
    answer = world.call(
        apis.freg,
        WITHOUT_HJEMMEL,
        f"/uten-hjemmel{PERSON}?part=person-basis&part=navn",
        headers={"Authorization": "Bearer the-consumers-own"},
    )
    equal(answer.status, 200, answer)
    target = f"/folkeregisteret/api/offentligutenhjemmel{PERSON}?part=person-basis&part=navn"
    received = at_the_register(world, apis.freg, target, WITHOUT_SCOPE)
    assert received.bearer not in f"{answer.headers} {answer.text}", "the token came to the consumer"


@case(core=True)
def key_in_the_query(world, engine, apis):
    """A consumer's key in the query does not reach the register."""
    path = f"{apis.freg.path}/uten-hjemmel{PERSON}?api-key={apis.freg.consumer_keys[WITHOUT_HJEMMEL]}"
    equal(http_client.send(world.gateway.address, "GET", path).status, 200)
    at_the_register(world, apis.freg, f"/folkeregisteret/api/offentligutenhjemmel{PERSON}", WITHOUT_SCOPE)


@case(core=True)
def with_hjemmel(world, engine, apis):
    """The plan with hjemmel reads both paths."""
    for path, target in [
        ("/med-hjemmel", "/folkeregisteret/offentlig-med-hjemmel/api"),
        ("/uten-hjemmel", "/folkeregisteret/api/offentligutenhjemmel"),
    ]:
        equal(world.call(apis.freg, WITH_HJEMMEL, path + PERSON).status, 200, path)
        at_the_register(world, apis.freg, target + PERSON, WITH_SCOPES)


@case(core=True)
def contact_information(world, engine, apis):
    """KRR's plan posts to the version that its back-end has in its path."""
    answer = world.call(apis.krr, CONTACT, "/personer", "POST", PERSONS, {"Content-Type": "application/json"})
    equal(answer.status, 200, answer)
    received = at_the_register(world, apis.krr, "/rest/v1/personer", KRR_SCOPE)
    equal((received.method, received.body.decode()), ("POST", PERSONS))


@case()
def production(world, engine, apis):
    """The definitions for production do the same."""
    freg, krr = world.deploy(engine, "freg-prod"), world.deploy(engine, "krr-prod")
    equal(world.call(freg, WITH_HJEMMEL, f"/med-hjemmel{PERSON}").status, 200)
    at_the_register(world, freg, f"/folkeregisteret/offentlig-med-hjemmel/api{PERSON}", WITH_SCOPES)
    equal(world.call(krr, CONTACT, "/personer", "POST", PERSONS).status, 200)
    at_the_register(world, krr, "/rest/v1/personer", KRR_SCOPE)


@case(core=True)
def other_paths_and_methods(world, engine, apis):
    """What a plan does not have is refused before Portvakt is asked."""
    for plan, path, method, status in [
        (WITHOUT_HJEMMEL, f"/med-hjemmel{PERSON}", "GET", 403),
        (WITHOUT_HJEMMEL, "/", "GET", 403),
        (WITH_HJEMMEL, "/elsewhere", "GET", 403),
        (WITH_HJEMMEL, f"/med-hjemmel{PERSON}", "POST", 405),
        (WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}", "DELETE", 405),
    ]:
        equal(world.call(apis.freg, plan, path, method).status, status, f"{method} {path}")
    equal(http_client.send(world.gateway.address, "GET", f"{apis.freg.path}/uten-hjemmel{PERSON}").status, 401, "without a key")
    equal(world.register.take(), [], "at the register")
    equal(world.simulator.exchanges(), {}, "exchanges")


@case(core=True)
def five_hundred_calls(world, engine, apis):
    """500 calls of three plans at once: each has its own token, and there is one exchange a scope."""
    callers = 15  # five of each plan
    plans = [
        (
            apis.freg,
            WITHOUT_HJEMMEL,
            "GET",
            "/uten-hjemmel/v1/personer/",
            "/folkeregisteret/api/offentligutenhjemmel/v1/personer/",
            WITHOUT_SCOPE,
        ),
        (
            apis.freg,
            WITH_HJEMMEL,
            "GET",
            "/uten-hjemmel/v1/personer/",
            "/folkeregisteret/api/offentligutenhjemmel/v1/personer/",
            WITH_SCOPES,
        ),
        (apis.krr, CONTACT, "POST", "/personer/", "/rest/v1/personer/", KRR_SCOPE),
    ]
    expected = {}
    for number in range(500):
        api, plan, method, path, target, scope = plans[number % 3]
        expected[f"{target}{number}"] = (scope, (api, plan, f"{path}{number}", method))
    calls = iter(expected.values())
    lock = threading.Lock()
    start = threading.Barrier(callers)

    def caller():
        connection = HTTPConnection(world.gateway.address, timeout=90)
        statuses = []
        start.wait()
        while True:
            with lock:
                _, call = next(calls, (None, None))
            if call is None:
                connection.close()
                return statuses
            statuses.append(world.call(*call, connection=connection).status)

    with ThreadPoolExecutor(callers) as pool:
        statuses = [status for future in [pool.submit(caller) for _ in range(callers)] for status in future.result()]
    equal(statuses, [200] * 500, "the consumers' answers")
    seen = {received.target: world.claims(received)["scope"] for received in world.register.take()}
    assert len(seen) == 500, f"{len(seen)} different requests came to the register"
    for target, scope in seen.items():
        equal(set(scope.split()), set(expected[target][0].split()), f"scope of the token for {target}")
    equal(sorted(world.simulator.exchanges().values()), [1, 1, 1], f"exchanges: {world.simulator.exchanges()}")


@case()
def redirected(world, engine, apis):
    """A register that sends elsewhere does not get the Bearer sent along."""
    elsewhere = Register()
    try:
        world.register.redirect = f"http://{elsewhere.address}/elsewhere"
        equal(ask_freg(world, apis).status, 302)
        equal(elsewhere.take(), [], "elsewhere")
    finally:
        elsewhere.close()


@case(versions=("v2",))
def the_sectors_template(world, engine, apis):
    """The sector's own templates work as they are."""
    prepare = lambda definition: definitions.as_the_sector_has_it(definition, world.token_url())  # noqa: E731
    good = {definitions.URL: ""}
    freg, krr = world.deploy(engine, "freg-test", prepare, **good), world.deploy(engine, "krr-test", prepare, **good)
    equal(world.call(freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}").status, 200)
    at_the_register(world, freg, f"/folkeregisteret/api/offentligutenhjemmel{PERSON}", WITHOUT_SCOPE)
    equal(world.call(krr, CONTACT, "/personer", "POST", PERSONS).status, 200)
    at_the_register(world, krr, "/rest/v1/personer", KRR_SCOPE)


# What fails. Each gives a row of the guide's table.


@case(core=True)
def anothers_key(world, engine, apis):
    """FREG's key gets no token of KRR's."""
    krr = world.deploy(engine, "krr-test", **{definitions.API_KEY: world.freg_key})
    answer = world.call(krr, CONTACT, "/personer", "POST", PERSONS)
    log = said(world, told_no_token(world, krr, answer))
    equal(world.simulator.exchanges(), {}, "exchanges")
    return Seen("KRR's API is set up with FREG's API key", answer.status, answer.seconds, log)


@case(core=True)
def key_not_filled_in(world, engine, apis):
    """A definition whose maskinporten_api_key was not filled in."""
    for value in (None, untouched(engine, definitions.API_KEY)):
        freg = world.deploy(engine, "freg-test", **{definitions.API_KEY: value})
        answer = world.call(freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}")
        log = said(world, told_no_token(world, freg, answer))
        assert definitions.API_KEY in log, log
    return Seen("`maskinporten_api_key` is not filled in", answer.status, answer.seconds, log)


@case()
def client_id_not_filled_in(world, engine, apis):
    """A definition whose maskinporten_api_iss was not filled in."""
    for value in (None, untouched(engine, definitions.ISS)):
        freg = world.deploy(engine, "freg-test", **{definitions.ISS: value})
        answer = world.call(freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}")
        log = said(world, told_no_token(world, freg, answer))
        assert definitions.ISS in log, log
    return Seen("`maskinporten_api_iss` is not filled in", answer.status, answer.seconds, log)


@case(core=True)
def url_missing(world, engine, apis):
    """A definition that has lost its portvakt_token_url: the one case in which the v4 engine has no words for the consumer."""
    freg = world.deploy(engine, "freg-test", **{definitions.URL: None})
    answer = world.call(freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}")
    if engine.execution_mode == "v3" or world.gateway.callout == "4.0.1":
        told_no_token(world, freg, answer)
    else:
        equal((answer.status, answer.text), (500, "Internal Server Error"))
        equal(world.register.take(), [], "at the register")
    return Seen("The property `portvakt_token_url` is gone", answer.status, answer.seconds, "nothing: the gateway's log has the cause")


@case(core=True)
def wrong_key(world, engine, apis):
    """A key that Portvakt does not know."""
    freg = world.deploy(engine, "freg-test", **{definitions.API_KEY: "a key that nobody knows"})
    answer = world.call(freg, WITHOUT_HJEMMEL, f"/uten-hjemmel{PERSON}", headers={"Accept": "application/json"})
    log = said(world, told_no_token(world, freg, answer))
    return Seen("`maskinporten_api_key` is wrong", answer.status, answer.seconds, log)


@case()
def revoked_key(world, engine, apis):
    """A key that is taken out of Portvakt's file while calls are made."""
    equal(ask_freg(world, apis).status, 200)
    world.register.take()
    world.restart_portvakt(freg_key=None)
    answer = ask_freg(world, apis)
    log = said(world, told_no_token(world, apis.freg, answer))
    return Seen("The API key was revoked in Portvakt", answer.status, answer.seconds, log)


@case()
def refused_scope(world, engine, apis):
    """Maskinporten refuses the scope."""
    world.simulator.set_fault(kind="error", code="MP-200")
    answer = ask_freg(world, apis, headers={"Accept": "text/html"})
    log = said(world, told_no_token(world, apis.freg, answer))
    assert "MP-200" in log, log
    return Seen("Maskinporten refuses the scope (MP-200)", answer.status, answer.seconds, log)


@case(core=True)
def stopped(world, engine, apis):
    """Portvakt is stopped, and started again."""
    world.portvakt.end()
    answer = ask_freg(world, apis)
    told_no_token(world, apis.freg, answer)
    world.restart_portvakt()
    equal(ask_freg(world, apis).status, 200, "after the start")
    return Seen("Portvakt is stopped, or `portvakt_token_url` is wrong", answer.status, answer.seconds, "nothing: no call has come")


@case(together=True)
def maskinporten_hangs(world, engines):
    """Maskinporten does not answer; a token that Portvakt holds is given out all the while."""
    for apis in engines.values():
        equal(world.call(apis.krr, CONTACT, "/personer", "POST", PERSONS).status, 200)
    world.register.take()
    world.simulator.reset()
    world.simulator.set_fault(kind="hang")
    with ThreadPoolExecutor(len(engines)) as pool:
        hanging = {engine: pool.submit(ask_freg, world, apis) for engine, apis in engines.items()}
        world.simulator.wait_for_exchanges(1)
        for apis in engines.values():
            answer = world.call(apis.krr, CONTACT, "/personer", "POST", PERSONS)
            equal(answer.status, 200)
            assert answer.seconds < 2, f"KRR waited {answer.seconds} s for FREG's exchange"
        world.register.take()
        answers = {engine: future.result() for engine, future in hanging.items()}
    for engine, answer in answers.items():
        told_no_token(world, engines[engine].freg, answer)
    # All three wait for one exchange, until their deadline. Its second attempt ends a little later, and then its line says why.
    log = in_words(world, world.portvakt.line(failed_exchange))
    return {engine: Seen("Maskinporten does not answer", answer.status, answer.seconds, log) for engine, answer in answers.items()}


@case(together=True)
def portvakt_hangs(world, engines):
    """Portvakt itself hangs, and goes on."""
    world.portvakt.halt()
    with ThreadPoolExecutor(len(engines)) as pool:
        hanging = {engine: pool.submit(ask_freg, world, apis) for engine, apis in engines.items()}
        answers = {engine: future.result() for engine, future in hanging.items()}
    for engine, answer in answers.items():
        told_no_token(world, engines[engine].freg, answer, status=504)
    world.portvakt.go_on()
    for apis in engines.values():
        equal(ask_freg(world, apis).status, 200, "after Portvakt went on")
    return {
        engine: Seen("Portvakt hangs, or the network swallows the call", answer.status, answer.seconds, "nothing")
        for engine, answer in answers.items()
    }


@case()
def register_refuses_the_token(world, engine, apis):
    """The register refuses a token: POST /token brings another."""
    equal(ask_freg(world, apis).status, 200)
    [received] = world.register.take()
    world.register.refused.add(received.bearer)
    answer = ask_freg(world, apis)
    equal((answer.status, answer.json["register"]), (401, "does not take this token"))
    [again] = world.register.take()
    equal(again.bearer, received.bearer, "the token that Portvakt holds")
    headers = {"X-Gravitee-Api-Key": world.freg_key, "iss": "freg", "scope": WITHOUT_SCOPE}
    fresh = http_client.send(world.portvakt.address, "POST", "/token", headers)
    equal(fresh.status, 200)
    assert fresh.json["access_token"] != received.bearer, "POST /token gave the same token"
    equal(ask_freg(world, apis).status, 200, "after POST /token")
    equal(world.register.take()[0].bearer, fresh.json["access_token"])
    return Seen("The register refuses the token", answer.status, answer.seconds, "nothing: Portvakt does not see the register's answer")
