#!/usr/bin/env python3
"""The bench's own arithmetic and its reading of consoles. Asserts nothing about how long things take."""
import os
import socket
import sys

sys.dont_write_bytecode = True

import report
import reverse
import rounds
import table
import ways
import works
from rsp import Client, NoAnswer
from watch import RunFailed, watch

count = 0
failed = 0


def ok(good, name):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)


def fails(name, *arguments):
    try:
        watch(*arguments)
        ok(False, name)
    except RunFailed:
        ok(True, name)


def shell(text):
    return ["sh", "-c", text]


def test_watch():
    good = watch(shell("printf '[  1.0] BENCH boot end\\r\\n'; echo BENCH a begin; echo RESULT a 7f;"
                       "echo BENCH a end; echo BENCH work end"), "work", 60)
    ok(set(good["phase_s"]) == {"boot", "a"}, "phases by their markers, after other text too")
    ok(good["phase_s"]["a"] >= 0 and good["phase_s"]["boot"] <= good["wall_s"], "phases lie in the run")
    ok(good["results"] == {"a": "7f"}, "results")
    pinned = watch(shell("echo RESULT cpus $(nproc); echo BENCH work end"), "work", 60,
                   max(os.sched_getaffinity(0)))
    ok(pinned["results"] == {"cpus": "1"}, "pinned to one CPU")
    fails("an exit status is a failure", shell("echo BENCH work end; exit 3"), "work", 60)
    fails("no end of the work is a failure", shell("echo BENCH a begin"), "work", 60)
    fails("one that hangs is stopped", ["sleep", "1000"], "work", 1)


def a_run(way, number, seconds, **more):
    return {"way": way, "guest": "work", "round": number, "wall_s": 10 * seconds, "cpu_s": 1,
            "peak_kib": 2048, "ram_kib": 1024, "results": {}, "phase_s": {"pipe": seconds}, **more}


def test_report():
    chosen = [way for way in ways.all_ways(["interp"], False)
              if way.name in ("native", "reprise-interp-record", "reprise-interp-replay")]
    runs = [a_run("native", n, s) for n, s in ((1, 2.0), (2, 1.0), (3, 9.0))]
    runs += [a_run("reprise-interp-record", 1, 8.0, instructions=160_000_000),
             {"way": "reprise-interp-record", "guest": "work", "round": 2, "error": "exit status 1"},
             a_run("reprise-interp-replay", 1, 4.0)]
    settings = {"quick": False, "rounds": 3, "memory": "512M", "qemu_machine": "q35", "took_s": 60,
                "sizes": works.sizes(False)}
    facts = dict.fromkeys(("cpu", "cpus", "host_kernel", "reprise", "commit", "qemu", "guest_kernel",
                           "date"), "x") | {"load_at_start": 0.0}
    made = report.make(chosen, runs, facts, settings)
    ok(made["seconds"]["pipe"]["native"] == 2.0, "the median of three rounds")
    ok(made["ratio_to_native"]["pipe"]["reprise-interp-record"] == 4.0, "ratio to native")
    ok(made["seconds"]["gzip"] == {}, "what was not measured is not there")
    ok([run["round"] for run in made["failures"]] == [2], "a failed run is told and not counted")
    speeds = made["million_instructions_per_second"]["work"]
    ok(speeds == {"reprise-interp-record": 2.0, "reprise-interp-replay": 4.0},
       "a replay's speed is by its recording's count")
    page = table.page(made)
    ok("| pipe ping-pong of two processes: 20,000 round trips | 2 | 8 | 4 |" in page, "a row of the page")
    ok("| gzip of a file in tmpfs: 8 MiB | – | – | – |" in page, "a row of the page without figures")
    ok("exit status 1" in page, "the page names failed runs")


def test_reverse():
    ok(reverse.quantile(list(range(1000)), 0.99) == 990 and reverse.quantile([5], 0.99) == 5, "quantiles")
    steps = reverse.summary([0.001, 0.003, 0.002])
    ok(steps["median_s"] == 0.002 and steps["n"] == 3 and steps["max_s"] == 0.003, "summary of samples")
    figures = {"step_back": steps, "seek": steps, "step_back_after_running": steps, "replay_s": 2.0,
               "search_back_s": 3.0, "search_back_ratio": 1.5, "watch_ratios": [1.25, 1.75],
               "access_watch_ratios": [1.5, 1.125], "checkpoints": 7, "checkpoint_mib": 12,
               "instructions": 1_000_000, "seed": 1}
    qemu = {"steps_by_place": {"1000": steps}, "step_hangs": 1, "step_tries": 4, "search_from": 1000,
            "search_back_s": None, "search_limit_s": 20}
    page = "\n".join(table.reverse_section({"reverse": {"interp": figures, "qemu": qemu,
                                                        "kvm": {"error": "no answer in time"}}}))
    ok("| watchpoint that is never hit, times the replay without, largest of 2 | 1.75 | 2 |" in page
       and "| access watchpoint that is never hit, times the replay without, largest of 2 | 1.5 | 2 |" in page,
       "the page's ratios")
    ok("| steps without an answer in time | 1 of 4 |" in page, "QEMU's hangs are told")
    ok("no answer in 20 s" in page and "Failed: no answer in time" in page, "what gave no answer too")
    ok(table.reverse_section({"reverse": {}}) == [], "nothing measured, nothing said")


def test_rsp():
    ours, theirs = socket.socketpair()
    client = Client.__new__(Client)
    client.socket, client.data, client.limit_s = ours, b"", 5
    theirs.sendall(b"+$O48690a#00$T05thread:1;#00")
    ok(client.ask("c") == "T05thread:1;", "console output before a stop is passed over")
    theirs.sendall(b"$O4869#00$OK#00")
    ok(client.monitor("x") == "Hi", "what a monitor command prints")
    theirs.close()
    try:
        client.ask("bs", 1)
        ok(False, "a closed connection")
    except NoAnswer:
        ok(True, "a closed connection")
    ours.close()


def test_results():
    rounds.check_results({"results": {"a": "1"}}, {"a": "1"})
    for got in ({"a": "2"}, {}, {"a": "1", "b": "1"}):
        try:
            rounds.check_results({"results": got}, {"a": "1"})
            ok(False, f"other results {got}")
        except RunFailed:
            ok(True, f"other results {got} are a failure")


test_watch()
test_report()
test_reverse()
test_rsp()
test_results()
print(f"1..{count}")
sys.exit(1 if failed else 0)
