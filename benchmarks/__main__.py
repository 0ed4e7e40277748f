"""`make bench`: each measurement in a process of its own, then one table.

`--full` measures longer (five million events for memory), `--profile` says where the time goes,
`--json` prints the figures for programs, `--only NAME` runs one measurement.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.incidents import ROWS, SECONDS
from benchmarks.measures import DEFAULT, FULL, MEASURES, TINY, Figures

_USUAL = ["pipeline", "warnings", "growth", "memory", "deadlines", "latency", "incidents", "digest"]
_SCALES = {"default": DEFAULT, "full": FULL, "tiny": TINY}


class Line(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


def main() -> int:
    """Run what was asked for and print it. Exits with 1 when a target is missed."""
    asked = _arguments()
    if asked.child:
        json.dump(MEASURES[asked.child](_SCALES[asked.scale]), sys.stdout)
        return 0
    names = asked.only or _USUAL
    if asked.profile and "profile" not in names:
        names = [*names, "profile"]
    found: dict[str, Figures] = {}
    for name in names:
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        found[name] = _measure(name, asked.scale)
    shown = list(lines(found))
    if asked.json:
        print(json.dumps({"machine": machine(), "scale": asked.scale, "figures": found}, indent=2))
    else:
        print(f"\n{machine()}; scale: {asked.scale}\n")
        print(table(shown))
    return int(asked.scale != "tiny" and any(line.met is False for line in shown))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", dest="scale", action="store_const", const="full")
    parser.add_argument("--tiny", dest="scale", action="store_const", const="tiny")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", action="append", choices=list(MEASURES))
    parser.add_argument("--child", choices=list(MEASURES), help=argparse.SUPPRESS)
    parser.set_defaults(scale="default")
    return parser.parse_args()


def _measure(name: str, scale: str) -> Figures:
    command = [sys.executable, "-m", "benchmarks", "--child", name]
    if scale != "default":
        command.append(f"--{scale}")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ourselves
    figures: Figures = json.loads(done.stdout)
    return figures


def machine() -> str:
    """What it was measured on."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def lines(found: Mapping[str, Figures]) -> Iterator[Line]:
    """The figures of each measurement, beside their targets."""
    if f := found.get("pipeline"):
        ratio = f["ratio"]
        yield Line("pipeline / parsing alone", f"{ratio:.3f}", "at least 0.15", ratio >= 0.15)
        yield Line("  median of the batches", f"{f['median_ratio']:.3f}")
        yield Line("  parsing alone", f"{f['parse_per_s']:,.0f} events/s")
        yield Line("  whole pipeline", f"{f['pipeline_per_s']:,.0f} events/s")
        yield Line("  of it in deadline ticks", f"{f['share_of_ticks']:.0%}")
        yield Line("  cases opened", f"{f['cases']:,} of {f['events']:,} events")
    if f := found.get("warnings"):
        yield Line("  the same, warning of promises", f"{f['ratio']:.3f}")
        yield Line("  median of the batches", f"{f['median_ratio']:.3f}")
    if f := found.get("growth"):
        ratio = f["ratio"]
        what = f"an event with {f['orders']:,} orders / with {f['small_orders']:,}"
        yield Line(what, f"{ratio:.2f}", "at most 1.5", ratio <= 1.5)
        yield Line("  median of the batches", f"{f['median_ratio']:.2f}")
        yield Line("  cost of an event", f"{f['large_us']:.0f} / {f['small_us']:.0f} us")
    if f := found.get("memory"):
        yield Line(
            f"peak memory over {f['events']:,} events",
            f"{f['peak_mb']:.0f} MB",
            "below 400 MB",
            f["peak_mb"] < 400,
        )
        yield Line("  last fifth - first fifth", f"{f['growth_mb']:+.0f} MB")
    if f := found.get("deadlines"):
        ms, s = f["none_due_ms"], f["due_s"]
        yield Line(f"tick, {f['waiting']:,} wait, none due", f"{ms:.2f} ms", "below 5 ms", ms < 5)
        yield Line(f"tick, {f['due']:,} due", f"{s:.2f} s", "below 1 s", s < 1)
        yield Line("  cases that it opened", f"{f['cases']:,}")
    if f := found.get("incidents"):
        what = "incident log" if f["is_whole"] else "sample of the incident log"
        most = SECONDS * f["rows"] / ROWS
        yield Line(
            f"replay of the {what}, {f['rows']:,} rows",
            f"{f['seconds']:.1f} s",
            f"at most {most:.1f} s",
            f["seconds"] <= most,
        )
        yield Line("  cost of a row, its warnings included", f"{f['row_us']:.0f} us")
        yield Line("  incidents, warnings and alerts", f"{f['incidents']:,}, {f['told']:,}")
    if f := found.get("digest"):
        many = f"{f['instances']:,} commitments in a year"
        week, year = f["week_s"], f["year_s"]
        yield Line(f"digest of a week, {many}", f"{week:.2f} s", "at most 2 s", week <= 2)
        yield Line("digest of the whole year", f"{year:.2f} s", "at most 2 s", year <= 2)
        yield Line("  filling the ledger", f"{f['filled_in_s']:.0f} s")
    if f := found.get("latency"):
        complete = not (f["missing"] or f["refused"])
        p99 = f["p99_ms"] if complete else float("inf")
        what = f"event to Slack, p99 at {f['per_second']} events/s"
        yield Line(what, f"{p99:.0f} ms", "below 500 ms", p99 < 500)
        yield Line("  median; worst", f"{f['p50_ms'] or 0:.0f} ms; {f['worst_ms'] or 0:.0f} ms")
        yield Line(
            "  conflicts", f"{f['conflicts']:,}, told in {f['channels']:,} channels by turns:"
        )
        yield Line("", "Slack takes one message a second in each")
    if f := found.get("profile"):
        whole = sum(f.values())
        yield Line("under the profiler, an event", f"{whole:.0f} us")
        for stage, us in f.items():
            yield Line(f"  {stage}", f"{us:6.1f} us {us / whole:5.0%}")


def table(shown: Sequence[Line]) -> str:
    """The lines in columns, for people."""
    rows = [("measured", "figure", "target", "")]
    rows += [(w, f, t, {None: "", True: "met", False: "MISSED"}[met]) for w, f, t, met in shown]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
