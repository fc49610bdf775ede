"""What can be said of the definitions and the guide without running them."""

import definitions

NAMES = ("freg-test", "freg-prod", "krr-test", "krr-prod")


def versions_agree():
    """The v2 and the v4 definition of an API say the same."""
    for name in NAMES:
        v2, v4 = definitions.read(name, "v2"), definitions.read(name, "v4")
        assert told(v2) == told(v4), f"{name}: {told(v2)}\n{told(v4)}"


def told(definition):
    """What both forms have, in one form."""
    api = definitions.api_of(definition)
    policies = []
    for step in definitions.steps(definition):
        configuration = {key: value for key, value in step["configuration"].items() if key != "scope"}  # v4 has no phases to choose among
        policies.append((step["name"], step["enabled"], step["policy"], configuration))
    if "proxy" in api:
        [group] = api["proxy"]["groups"]
        path, templates, plans = api["proxy"]["virtual_hosts"], api["response_templates"], [plan["security"] for plan in api["plans"]]
        targets = [(endpoint["name"], endpoint["target"]) for endpoint in group["endpoints"]]
        http = group["http"]
    else:
        [group], [listener] = api["endpointGroups"], api["listeners"]
        path, templates = [{"path": path["path"]} for path in listener["paths"]], api["responseTemplates"]
        plans = [plan["security"]["type"] for plan in definition["plans"]]
        # The v4 engine's own proxy puts a slash between the two; what runs v2 takes one away.
        targets = [(endpoint["name"], endpoint["configuration"]["target"] + "/") for endpoint in group["endpoints"]]
        http = {key: value for key, value in group["sharedConfiguration"]["http"].items() if key != "version"}
    names = [(plan["name"], plan["description"], plan["status"], plan["validation"]) for plan in definition["plans"]]
    return api["name"], api["description"], api["properties"], path, targets, http, names, plans, policies, templates


def environments_differ_in_three_things():
    """The definitions for test and production differ in name, context path and back-end, and in nothing else."""
    for name, differing in (("freg", TARGETS["freg"]), ("krr", TARGETS["krr"])):
        for version in ("v2", "v4"):
            test, prod = (definitions.DIRECTORY / f"{name}-{environment}.{version}.json" for environment in ("test", "prod"))
            lines = list(zip(test.read_text().splitlines(), prod.read_text().splitlines(), strict=True))
            changed = [(a.strip(), b.strip()) for a, b in lines if a != b]
            assert len(changed) == 3, changed
            api = definitions.api_of(definitions.read(f"{name}-test", version))["name"].removesuffix(" test")
            targets = {a: b for line in differing.items() for a, b in [line, tuple(text.removesuffix('/"') + '"' for text in line)]}
            expected = {
                f'"name": "{api} test",': f'"name": "{api}",',
                f'"path": "/test/digdir/{name}/"': f'"path": "/digdir/{name}/"',
                **targets,
            }
            for a, b in changed:
                assert expected.get(a.rstrip(","), expected.get(a)) in (b, b.rstrip(",")), f"{a} became {b}"


TARGETS = {
    "freg": {'"target": "https://folkeregisteret-api-konsument.sits.no/"': '"target": "https://folkeregisteret.api.skatteetaten.no/"'},
    "krr": {'"target": "https://test.kontaktregisteret.no/rest/v1/"': '"target": "https://kontaktregisteret.no/rest/v1/"'},
}


def nothing_is_filled_in():
    """The three properties are there to be filled in, and everything that must be safe is."""
    for name in NAMES:
        for version in ("v2", "v4"):
            definition = definitions.read(name, version)
            values = {prop["key"]: prop["value"] for prop in definitions.api_of(definition)["properties"]}
            assert set(values) == {definitions.URL, definitions.API_KEY, definitions.ISS}, values
            assert all("FILL-IN" in value for value in values.values()), values
            [callout] = [step["configuration"] for step in definitions.steps(definition) if step["policy"] == "policy-http-callout"]
            assert callout["exitOnError"] is True and "calloutResponse" not in callout["errorContent"], callout


CHECKS = (versions_agree, environments_differ_in_three_things, nothing_is_filled_in)
