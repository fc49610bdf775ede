"""The definitions of deploy/gravitee, filled in as an operator does, and made what the management API makes of them on import."""

import copy
import json
import re
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[3] / "deploy" / "gravitee"

URL, API_KEY, ISS = "portvakt_token_url", "maskinporten_api_key", "maskinporten_api_iss"


def read(name, version):
    """`read("freg-test", "v2")`."""
    return json.loads((DIRECTORY / f"{name}.{version}.json").read_text())


def api_of(definition):
    """Where properties, flows and templates stand: a v2 export is flat, a v4 one has them under `api`."""
    return definition.get("api", definition)


def filled_in(definition, **values):
    """With properties set; None takes one away."""
    definition = copy.deepcopy(definition)
    api = api_of(definition)
    unknown = values.keys() - {prop["key"] for prop in api["properties"]}
    assert not unknown, f"the definition has no property {unknown}"
    api["properties"] = [
        {**prop, "value": values.get(prop["key"], prop["value"])} for prop in api["properties"] if values.get(prop["key"], "") is not None
    ]
    return definition


def pointed_at(definition, address):
    """With the register's host replaced, and nothing else of its URL."""

    def replaced(node):
        if isinstance(node, dict):
            return {
                key: re.sub("^https?://[^/]+", f"http://{address}", value) if key == "target" else replaced(value)
                for key, value in node.items()
            }
        return [replaced(item) for item in node] if isinstance(node, list) else node

    return replaced(definition)


def steps(definition):
    """All policies of all flows."""
    api = api_of(definition)
    flows = [*api["flows"], *(flow for plan in definition["plans"] for flow in plan["flows"])]
    return [step for flow in flows for step in flow.get("pre", flow.get("request"))]


def without_callout(definition):
    """The same without asking for a token: what the callout costs is the difference."""
    definition = copy.deepcopy(definition)
    for step in steps(definition):
        if step["policy"] in ("policy-http-callout", "transform-headers"):
            step["enabled"] = False
    return definition


def as_the_sector_has_it(definition, url):
    """The sector's templates, as far as they differ from ours: a v2 export whose callout lets a failed one go on."""
    definition = copy.deepcopy(definition)
    definition["response_templates"] = {}
    definition["properties"] = [prop for prop in definition["properties"] if prop["key"] != URL]
    for flow in [*definition["flows"], *(flow for plan in definition["plans"] for flow in plan["flows"])]:
        flow["pre"] = [step for step in flow["pre"] if step["policy"] != "resource-filtering"]
        for step in flow["pre"]:
            if step["policy"] == "policy-http-callout":
                configuration = step["configuration"]
                configuration.update(url=url, exitOnError=False)
                configuration["headers"] = [header for header in configuration["headers"] if header["name"] != "X-Request-Id"]
    return definition


def imported(definition, id, path_prefix, execution_mode):
    """What the gateway is given: with IDs, v4 in the gateway's own spelling, and the context path in a place of its own."""
    definition = copy.deepcopy(definition)
    plans = [{**plan, "id": f"{id}-{number}"} for number, plan in enumerate(definition["plans"], 1)]
    if "gravitee" in definition:
        for host in definition["proxy"]["virtual_hosts"]:
            host["path"] = path_prefix + host["path"]
        return {**definition, "id": id, "execution_mode": execution_mode, "plans": plans}
    api = in_the_gateways_spelling(definition["api"])
    for listener in api["listeners"]:
        for path in listener["paths"]:
            path["path"] = path_prefix + path["path"]
    plans = [{key: plan[key] for key in ("id", "name", "mode", "security", "status", "flows")} for plan in in_the_gateways_spelling(plans)]
    return {**api, "id": id, "definitionVersion": "4.0.0", "plans": plans}


def in_the_gateways_spelling(node):
    """The management API says PROXY, API_KEY, ROUND_ROBIN where the gateway says proxy, api-key, round-robin."""
    if isinstance(node, list):
        return [in_the_gateways_spelling(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.lower().replace("_", "-")
        if key in ("type", "qos", "mode", "status") and isinstance(value, str)
        else value
        if key in ("configuration", "sharedConfiguration", "responseTemplates")
        else in_the_gateways_spelling(value)
        for key, value in node.items()
    }


def context_path(api):
    """Of a definition as the gateway is given it, without the slash at its end."""
    path = api["proxy"]["virtual_hosts"][0] if "proxy" in api else api["listeners"][0]["paths"][0]
    return path["path"].rstrip("/")


def message(definition):
    """What a consumer is told when there is no token."""
    callout = next(step for step in steps(definition) if step["policy"] == "policy-http-callout")
    return json.loads(callout["configuration"]["errorContent"])["message"]
