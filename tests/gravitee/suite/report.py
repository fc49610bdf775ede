"""What came of the cases: a line each, the guide's table, and the closing line."""

import sys
import traceback
from pathlib import Path
from time import perf_counter

PROJECT = Path(__file__).resolve().parents[3]


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.seen = {}  # by what is wrong, then by engine

    def run(self, what, title, check, *arguments):
        """Does it, says how it went and how long it took, and gives what came of it; None when it failed."""
        start = perf_counter()
        try:
            result = check(*arguments)
            self.passed += 1
            word = "ok"
        except Exception:
            result = None
            self.failed += 1
            word = "FAILED"
            traceback.print_exc()
            sys.stderr.flush()
        print(f"{word:6} {perf_counter() - start:7.3f} s  {what:30} {title}", flush=True)
        return result

    def remember(self, engine, seen):
        if seen is not None:
            self.seen.setdefault(seen.wrong, {})[engine.name] = seen

    def close(self):
        print(f"\n{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0  # --only that matches nothing is a mistake


# Portvakt's attempt_timeout and deadline, and the gateway's own limit, in seconds: what a call can run into. The guide says which, so that
# it does not depend on how busy a machine was.
LIMITS = (0, 4, 8, 30)


def how_soon(seconds):
    limit = min(LIMITS, key=lambda limit: abs(limit - seconds))
    return f"{limit} s" if limit else "at once"


def alike(values):
    """One text when it is the same everywhere, else each with where it is so."""
    different = dict.fromkeys(values.values())
    if len(different) == 1:
        return next(iter(different))
    return "; ".join(f"{', '.join(engine for engine in values if values[engine] == value)}: {value}" for value in different)


def table(seen):
    """The guide's table, from what was seen."""
    lines = ["| What is wrong | The consumer sees | How soon | Portvakt's log (level) |", "|---|---|---|---|"]
    for wrong, engines in seen.items():
        status = alike({engine: str(seen.status) for engine, seen in engines.items()})
        soon = alike({engine: how_soon(seen.seconds) for engine, seen in engines.items()})
        log = alike({engine: seen.log for engine, seen in engines.items()})
        lines.append(f"| {wrong} | {status} | {soon} | {log} |")
    return "\n".join(lines)


GUIDE = PROJECT / "docs" / "gravitee.md"
BEGIN, END = "<!-- made by tests/gravitee/run --write-guide -->\n", "<!-- end -->"


def parts_of_the_guide():
    """What stands before the table, the table, and what comes after."""
    head, begin, rest = GUIDE.read_text().partition(BEGIN)
    old, end, tail = rest.partition(END)
    assert begin and end, f"{GUIDE} has no place for the table, from {BEGIN.strip()} to {END}"
    return head, old.strip(), tail


def guide_has(new):
    """The table in the guide is the one that this run has made."""
    _, old, _ = parts_of_the_guide()
    assert old == new, f"the table in {GUIDE} is another; tests/gravitee/run --write-guide puts this one there:\n{new}"


def write_guide(new):
    head, _, tail = parts_of_the_guide()
    GUIDE.write_text(f"{head}{BEGIN}{new}\n{END}{tail}")
