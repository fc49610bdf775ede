"""Runs the cases: tests/gravitee/run starts this."""

import argparse
import os
import signal
import sys
import tempfile
from collections import namedtuple

import cost
import files
import guide
import report as reporting
from cases import CASES
from processes import BUILT, Gateway, Simulator
from world import ENGINES, World

Apis = namedtuple("Apis", "freg krr")

GUIDE = "Followed from an empty folder, by its commands alone"

LONGEST_RUN = 15 * 60  # seconds: something hangs, and nobody is there to see it

CALLOUTS = ("5.4.0", "4.0.1")  # all cases with the first, those at the core with the other


def main():
    parser = argparse.ArgumentParser(prog="tests/gravitee/run", description="Portvakt behind Gravitee's own gateway.")
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases in whose line this is")
    parser.add_argument("--cost", action="store_true", help="also measure what the callout costs")
    parser.add_argument(
        "--write-guide", action="store_true", help="put the table of failures into docs/gravitee.md instead of comparing it"
    )
    options = parser.parse_args()
    for ends in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(ends, lambda number, _: sys.exit(f"ended by {signal.Signals(number).name}"))  # and so is what was started
    signal.alarm(LONGEST_RUN)

    report = reporting.Report()
    for check in (*files.CHECKS, guide.both_languages_have_the_same_commands):
        title = check.__doc__.splitlines()[0].rstrip(".")
        if options.only in title:
            report.run("definitions", title, check)
    with tempfile.TemporaryDirectory(prefix="portvakt-gravitee-") as directory, Simulator() as simulator:
        for callout in CALLOUTS:
            with Gateway(directory, f"{os.environ['JAVA_HOME']}/bin/java", callout) as gateway:
                world = World(directory, gateway, simulator)
                try:
                    run_cases(world, report, options, all_of_them=callout == CALLOUTS[0])
                    if callout == CALLOUTS[0] and options.only in GUIDE:
                        with tempfile.TemporaryDirectory(prefix="portvakt-guide-") as empty:
                            report.run("guide", GUIDE, guide.followed, empty, gateway)
                finally:
                    world.close()
                    (BUILT / f"gateway-{callout}.log").write_text("\n".join(gateway.log))
    if not options.only:
        if options.write_guide:
            reporting.write_guide(reporting.table(report.seen))
        report.run("guide", "its table of failures is what was seen", reporting.guide_has, reporting.table(report.seen))
    return report.close()


def run_cases(world, report, options, all_of_them):
    engines = {engine: Apis(world.deploy(engine, "freg-test"), world.deploy(engine, "krr-test")) for engine in ENGINES}
    for case in CASES:
        if not (case.core or all_of_them):
            continue
        chosen = [engine for engine in ENGINES if engine.version in case.versions]
        for engine in [None] if case.together else chosen:
            where = f"{engine.name if engine else 'all'}, callout {world.gateway.callout}"
            if options.only not in f"{where} {case.title}":
                continue
            world.start_anew()
            if engine is None:
                seen = report.run(where, case.title, case.run, world, engines) or {}
            else:
                seen = {engine: report.run(where, case.title, case.run, world, engine, engines[engine])}
            if all_of_them:
                for engine, row in seen.items():
                    report.remember(engine, row)
    if options.cost and all_of_them:
        for engine in ENGINES:
            world.start_anew()
            figures = cost.measure(world, engine)
            for name, (p50, p99) in figures.items():
                print(f"cost   {engine.name:30} {name + ' the callout':20} p50 {p50:.2f} ms  p99 {p99:.2f} ms", flush=True)


sys.exit(main())
