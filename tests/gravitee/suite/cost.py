"""What the callout costs: the same call through the gateway with and without it."""

from http.client import HTTPConnection

import definitions
from world import WITHOUT_HJEMMEL

WARM_UP, MEASURED, ROUNDS = 1500, 500, 4


def milliseconds(world, api, connection, number):
    times = []
    for _ in range(number):
        answer = world.call(api, WITHOUT_HJEMMEL, "/uten-hjemmel/v1/personer/18906299204", connection=connection)
        assert answer.status == 200, answer
        times.append(answer.seconds * 1000)
    return times


def percentile(times, of_hundred):
    times = sorted(times)
    return times[min(len(times) - 1, len(times) * of_hundred // 100)]


def measure(world, engine):
    """p50 and p99 in milliseconds, without and with the callout, by turns; one consumer on one connection."""
    apis = {
        "without": world.deploy(engine, "freg-test", definitions.without_callout),
        "with": world.deploy(engine, "freg-test"),
    }
    connection = HTTPConnection(world.gateway.address, timeout=90)
    times = {name: [] for name in apis}
    for api in apis.values():
        milliseconds(world, api, connection, WARM_UP)
    for _ in range(ROUNDS):
        for name, api in apis.items():
            times[name] += milliseconds(world, api, connection, MEASURED)
        world.register.take()
    connection.close()
    return {name: (percentile(of, 50), percentile(of, 99)) for name, of in times.items()}
