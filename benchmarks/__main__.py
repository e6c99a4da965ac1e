"""`make bench`: every figure that Daybook promises, measured in one run; medians of several rounds.

Ratios are of figures taken in the same round, one after the other, on the same server. The exit code is 1
when one misses its bound.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import (
    auditing,
    crediting,
    exporting,
    in_process,
    lending,
    over_http,
    projecting,
    proving,
    reading,
    reconciling,
    vouchering,
    workload,
)
from ledger.reader import Reader
from ledger.writer import Writer
from sql.embedded import running
from sql.migrate import migrate

ROUNDS = 5
BATCHES = 40
HTTP_REQUESTS = 12_000
console = Console(soft_wrap=True)


class Report:
    """Figures by name, and the table at the end."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.table = Table("what", "figure", "bound", "", title="Daybook benchmarks (medians)")
        self.missed: list[str] = []

    def median(self, name: str) -> float:
        """The median of a figure's rounds."""
        return statistics.median(self.samples[name])

    def ratio(self, name: str, of: str) -> float:
        """The median over the rounds of one figure divided by another of the same round."""
        return statistics.median(a / b for a, b in zip(self.samples[name], self.samples[of], strict=True))

    def rate(self, what: str, name: str) -> None:
        """A rate without a bound, with its spread."""
        low, high = min(self.samples[name]), max(self.samples[name])
        self.table.add_row(what, f"{self.median(name):,.0f}/s ({low:,.0f} to {high:,.0f})", "", "")

    def line(self, what: str, figure: str) -> None:
        """Something said."""
        self.table.add_row(what, figure, "", "")

    def bound(
        self, what: str, value: float, bound: float, *, at_most: bool = False, form: str = ".2f"
    ) -> None:
        """A figure with a bound."""
        met = value <= bound if at_most else value >= bound
        if not met:
            self.missed.append(what)
        sign = "at most" if at_most else "at least"
        self.table.add_row(
            what, format(value, form), f"{sign} {format(bound, form)}", "" if met else "MISSED"
        )


def writer_rounds(report: Report, conninfo: str) -> None:
    """The writer in this process."""
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    take = report.samples
    for _ in track(range(ROUNDS), "writer", console=console):
        take["bare"].append(in_process.bare_copy(conninfo, writer, BATCHES))
        take["plain"].append(in_process.plain(writer, BATCHES))
        take["hot"].append(in_process.plain(writer, BATCHES, hot=True))
        take["replayed"].append(in_process.plain(writer, BATCHES, replayed=0.1))
        take["holds"].append(in_process.holds(writer, BATCHES // 2))
        take["uses"].append(crediting.uses(writer, BATCHES // 2))
        rates = vouchering.vouchers(writer, BATCHES // 2)
        take["issued"].append(rates.issued)
        take["redeemed"].append(rates.redeemed)
    lent = lending.lend(writer, lending.LOANS)
    for round in track(range(6), "loans", console=console):
        accrued = round < 3
        if accrued:
            take["accrued"].append(lending.accruals(writer, lent, lending.LOANS, round))
        _tidy(conninfo)
        take["beside accrued" if accrued else "beside unaccrued"].append(in_process.plain(writer, BATCHES))
        rate = lending.repayments(writer, lent, lending.LOANS, round)
        take["repaid" if accrued else "repaid unaccrued"].append(rate)
    for _ in track(range(3), "processes", console=console):
        take["one"].append(in_process.several_processes(conninfo, writer, 1, BATCHES))
        take["four"].append(in_process.several_processes(conninfo, writer, 4, BATCHES))
    writer.close()
    many = Writer(conninfo, connections=4)
    for _ in track(range(3), "ledgers", console=console):
        take["ledgers"].append(in_process.many_ledgers(many, 1_000, 10_000))
    many.close()

    report.rate("bare COPY, batches of 1,000", "bare")
    report.rate("writer, batches of 1,000 over 1,000 accounts", "plain")
    report.bound("  of bare COPY", report.ratio("plain", "bare"), 0.6)
    report.rate("one hot account on one side", "hot")
    report.bound("  of the spread load", report.ratio("hot", "plain"), 0.9)
    report.rate("10 % replayed keys", "replayed")
    report.bound("  of none", report.ratio("replayed", "plain"), 0.8)
    report.rate("holds placed and posted, events", "holds")
    report.bound("  of plain", report.ratio("holds", "plain"), 0.4)
    report.rate("uses of credits on one wallet with 100 open lots", "uses")
    report.bound("  of plain", report.ratio("uses", "plain"), 0.3)
    report.rate("vouchers issued in bulk", "issued")
    report.bound("  of plain", report.ratio("issued", "plain"), 0.3)
    report.rate("vouchers redeemed by their codes", "redeemed")
    report.bound("  of plain", report.ratio("redeemed", "plain"), 0.3)
    report.rate(f"accrual of {lending.LOANS:,} loans of 18 instalments", "accrued")
    report.rate("repayments after the day's accrual run", "repaid")
    report.bound("  of plain", report.ratio("repaid", "beside accrued"), 0.25)
    report.rate("repayments that accrue for themselves", "repaid unaccrued")
    report.bound("  of plain", report.ratio("repaid unaccrued", "beside unaccrued"), 0.25)
    report.rate("one process on a ledger", "one")
    report.rate("four processes on a ledger", "four")
    report.bound("  of one process", report.ratio("four", "one"), 0.5)
    report.rate("1,000 ledgers round robin, one a request", "ledgers")


def _tidy(conninfo: str) -> None:
    """Else autovacuum and the checkpointer work off the earlier rounds meanwhile, on the same two cores."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def http_rounds(report: Report, conninfo: str) -> None:
    """The API from another process. Nobody keeps projections: they are behind by a million events."""
    take = report.samples
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    ledger = in_process.open_ledger(writer)
    share = []
    with over_http.parse_only() as floor, over_http.daybook(conninfo, projecting=False) as service:
        over_http.load(service, ledger, 2_000)
        for _ in track(range(ROUNDS), "http", console=console):
            _tidy(conninfo)
            parsed = over_http.load(floor, ledger, HTTP_REQUESTS)
            posted = over_http.load(service, ledger, HTTP_REQUESTS)
            take["beside"].append(in_process.plain(writer, BATCHES))
            batches = over_http.load(service, ledger, BATCHES, connections=4, items=workload.BATCH)
            take["parse"].append(parsed.requests / parsed.seconds)
            take["http"].append(posted.requests / posted.seconds)
            take["added"].append(1e6 * (posted.seconds / posted.requests - parsed.seconds / parsed.requests))
            take["p50"].append(posted.p50)
            take["p99"].append(posted.p99)
            take["batches"].append(batches.requests * workload.BATCH / batches.seconds)
            share += [load.cpu_seconds / load.seconds for load in (parsed, posted, batches)]
    writer.close()
    beside = http_beside_projections(conninfo)
    tps, latency = over_http.pgbench(conninfo, 10)

    report.rate("HTTP, the route that only parses, 64 connections", "parse")
    report.rate("HTTP, one transaction a request, 64 connections", "http")
    report.bound("  added microseconds a request", report.median("added"), 150, at_most=True, form=".0f")
    report.line("  p50, p99", f"{report.median('p50'):.1f} ms, {report.median('p99'):.1f} ms")
    report.line("  while the same process keeps projections", f"{beside:,.0f}/s")
    report.line("  pgbench TPC-B beside it, 64 clients", f"{tps:,.0f}/s, mean {latency:.1f} ms")
    report.rate("HTTP, batches of 1,000, transactions", "batches")
    report.bound("  of the rate in process, beside it", report.ratio("batches", "beside"), 0.6)
    report.line("load generator's share of one core", f"{min(share):.0%} to {max(share):.0%}")


def http_beside_projections(conninfo: str) -> float:
    """Requests a second in a database of its own, whose projections have nothing else to catch up with."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE beside_projections")
    fresh = make_conninfo(conninfo, dbname="beside_projections")
    migrate(fresh)
    writer = Writer(fresh, connections=1)
    ledger = in_process.open_ledger(writer)
    writer.close()
    with over_http.daybook(fresh, projecting=True) as service:
        over_http.load(service, ledger, 2_000)
        rounds = [over_http.load(service, ledger, HTTP_REQUESTS) for _ in range(3)]
    return statistics.median(load.requests / load.seconds for load in rounds)


def long_ledger(report: Report, conninfo: str) -> str:
    """Reads at 10,000 and 1,000,000 postings, in a ledger that is returned; bytes on disk."""
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    short = reading.grow(writer, 10_000)
    before = reading.disk_bytes(conninfo)
    started = time.perf_counter()
    long = reading.grow(writer, 1_000_000)
    report.line("1,000,000 postings written in", f"{time.perf_counter() - started:.0f} s")
    report.bound(
        "bytes on disk a two-leg transaction",
        (reading.disk_bytes(conninfo) - before) / 500_000,
        1_250,
        at_most=True,
        form=",.0f",
    )
    writer.close()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    reader = Reader(conninfo)
    for what, known_at in (("balance", False), ("known_at balance", True)):
        few, many = reading.read_seconds(reader, [short, long], known_at)
        report.line(
            f"{what} read at 10,000 and 1,000,000 postings", f"{1e6 * few:.0f} and {1e6 * many:.0f} us"
        )
        report.bound("  longer by the factor", many / few, 1.25, at_most=True)
    reader.close()
    return long


def proof_rounds(report: Report, conninfo: str, ledger: str) -> None:
    """Inclusion proofs when the ledger has 1,000,000 events."""
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    reading.grow(writer, 1_000_000, ledger)
    writer.close()
    with console.status("tiles and proofs"):
        rate = proving.tile_rate(conninfo, ledger)
        proven = proving.prove(conninfo, ledger)
    report.line("tiles made, events", f"{rate:,.0f}/s")
    report.bound(
        f"inclusion proof at {proven.events:,} events, ms", proven.median, 10, at_most=True, form=".1f"
    )
    report.line("  p99, and rows read at most", f"{proven.p99:.1f} ms, {proven.rows}")


def export_rounds(report: Report, conninfo: str, ledger: str) -> None:
    """Exporting a ledger, in each format and in all."""
    for name, formats in track(exporting.CHOICES.items(), "exports", console=console):
        rate = exporting.rate(conninfo, ledger, formats)
        report.line(f"export, {name}, events", f"{rate:,.0f}/s")


def audit_rounds(report: Report, conninfo: str, ledger: str) -> None:
    """Verifying and checking a ledger."""
    book = auditing.rate(auditing.verified(conninfo, ledger, *auditing.BOOK))
    report.bound("verify an export, events/s a core: events and tiles", book, 50_000, form=",.0f")
    whole = auditing.rate(auditing.verified(conninfo, ledger))
    report.line("  every format", f"{whole:,.0f}/s")
    live = auditing.rate(auditing.checked(conninfo, ledger))
    report.line("check the live ledger, events/s a core", f"{live:,.0f}/s")


def projection_rounds(report: Report, conninfo: str) -> None:
    """Projections of a ledger of 1,000,000 postings, alone in a database."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE daybook_projections")
    conninfo = make_conninfo(conninfo, dbname="daybook_projections")
    migrate(conninfo)
    writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
    reading.grow(writer, 1_000_000)
    writer.close()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    seconds = projecting.catch_up_seconds(conninfo)
    report.line("all projections catch up with 500,000 events", f"{500_000 / seconds:,.0f} events/s")
    take = report.samples
    for _ in track(range(3), "rebuild", console=console):
        take["aggregate"].append(1_000_000 / projecting.aggregate_seconds(conninfo))
        take["rebuild"].append(1_000_000 / projecting.rebuild_seconds(conninfo, "daily_balances"))
    report.rate("bare sequential aggregate, postings", "aggregate")
    report.rate("rebuild of daily balances, compared and swapped, postings", "rebuild")
    report.bound("  of the bare aggregate", report.ratio("rebuild", "aggregate"), 0.3)
    lag, rate = projecting.lag_seconds(conninfo, 0.3 * report.median("plain"), 15)
    report.line("writing, with projections kept by another process", f"{rate:,.0f}/s")
    report.bound("  greatest lag of any projection, seconds", lag, 2, at_most=True)


def main() -> int:
    """Run everything on an embedded server of its own."""
    report = Report()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "data") as conninfo:
            migrate(conninfo)
            with psycopg.connect(conninfo, autocommit=True) as connection:
                row = connection.execute(
                    "SELECT version(), current_setting('fsync'), current_setting('shared_buffers')"
                ).fetchone()
            assert row is not None
            console.print(f"{row[0].partition(' on ')[0]}, fsync {row[1]}, shared_buffers {row[2]}")
            console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
            writer_rounds(report, conninfo)
            compared = reconciling.compared(1_000_000)
            report.line(
                "reconcile 1,000,000 against 1,000,000, items of both",
                f"{compared.rate:,.0f}/s, {compared.match_rate} % match",
            )
            report.bound("  peak memory, MB", compared.peak_mb, 150, at_most=True, form=".0f")
            http_rounds(report, conninfo)
            proof_rounds(report, conninfo, long_ledger(report, conninfo))
            writer = Writer(conninfo, batch_size=workload.BATCH, connections=2)
            ledger = reading.grow(writer, 200_000)
            writer.close()
            export_rounds(report, conninfo, ledger)
            audit_rounds(report, conninfo, ledger)
            projection_rounds(report, conninfo)
    console.print(report.table)
    console.print(
        f"{ROUNDS} rounds for the writer and HTTP, 3 elsewhere, in {time.perf_counter() - started:.0f} s."
    )
    if report.missed:
        console.print("Missed: " + "; ".join(name.strip() for name in report.missed))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
