"""Serves the bundled model, then a large random one, under mixed load: soak.py BINARY [--minutes N].

Clients send valid requests of many kinds, leave before their answers, send invalid requests, or stall. Every answer
must be the one that its request gets alone, or a proper error; /health is answered all the time; after each round, when
all clients have gone, memory, threads and files must be those of the beginning. Needs Linux.
"""

import argparse
import statistics
import sys
import threading
import time

from soak_clients import Client
from soak_load import Load, same
from soak_process import KEY, Health, Server, Usage
from soak_requests import invalid, valid

MODELS = {"demo": ["--model", "demo"], "random 256m": ["--random", "256m"]}
# Longest load between two looks at an idle server, and the smallest number of these.
ROUND_SECONDS, ROUNDS = 45, 6
# Growth of the idle memory over the whole test that is no leak.
MAX_GROWTH_MIB = 24
# Time limit of the end after SIGTERM: the server's own limit, and its limit for cancelled requests.
STOP_SECONDS = 40


def soak(name: str, binary: str, minutes: float, seed: int) -> list[str]:
    """Tests a model for some minutes, prints tables, and returns what was wrong."""
    server = Server(binary, MODELS[name])
    try:
        load = Load(server.url, valid(name != "demo"), invalid(), seed)
        load.record()
        calm, _ = server.idle()
        health = Health(server)
        load.run(ROUND_SECONDS)
        seconds = min(ROUND_SECONDS, minutes * 60 / ROUNDS)
        first, idle_after = server.idle(calm)
        print(f"\n{name}: {len(load.answers)} valid requests, {len(load.invalid)} invalid ones")
        print(f"{'minute':>7} {'idle MiB':>9} {'threads':>8} {'files':>6} {'idle after s':>13}")
        start, samples = time.monotonic(), [(0.0, first)]
        _print_usage(0, first, idle_after)
        for _ in range(round(minutes * 60 / seconds)):
            load.run(seconds)
            usage, idle_after = server.idle(calm)
            samples.append(((time.monotonic() - start) / 60, usage))
            _print_usage(*samples[-1], idle_after)
        health.stop()
        print(load.table())
        print(f"/health: {health.count} answers, the slowest after {health.slowest:.3f} s")
        print(f"memory under load: at most {health.peak_mib:.1f} MiB")
        return load.problems + health.problems + _leaks(calm, samples) + _stop(server, load)
    finally:
        server.kill()


def _print_usage(minute: float, usage: Usage, idle_after: float) -> None:
    print(f"{minute:7.1f} {usage.mib:9.1f} {usage.threads:8} {usage.files:6} {idle_after:13.1f}", flush=True)


def _leaks(calm: Usage, samples: list[tuple[float, Usage]]) -> list[str]:
    """What an idle server uses more than before. The slope is the median of those between all samples (Theil-Sen)."""
    pairs = [(a, b) for i, a in enumerate(samples) for b in samples[i + 1 :]]
    slope = statistics.median((b.mib - a.mib) / (late - early) for (early, a), (late, b) in pairs)
    growth = slope * samples[-1][0]
    print(f"idle memory: {slope * 60:+.1f} MiB per hour, {growth:+.1f} MiB in all (limit {MAX_GROWTH_MIB})")
    problems = [f"memory grew by {growth:.1f} MiB"] if growth > MAX_GROWTH_MIB else []
    for what in ("threads", "files"):
        before, after = getattr(calm, what), getattr(samples[-1][1], what)
        if after > before:
            problems.append(f"{after} {what}, {before} at the beginning")
    return problems


def _stop(server: Server, load: Load) -> list[str]:
    """Ends the server while it answers requests, which must be finished."""
    problems: list[str] = []

    def ask(index: int) -> None:
        client = Client(server.url, KEY)
        try:
            if not same(client.ask(load.valid[index], False), load.answers[index]):
                problems.append(f"{load.valid[index].kind}: wrong answer while the server stopped")
        except Exception as error:  # noqa: BLE001: everything is a finding.
            problems.append(f"{load.valid[index].kind}: {error!r} while the server stopped")
        client.close()

    indices = [i for i, request in enumerate(load.valid) if request.kind in ("long answer", "image", "decisions")][-4:]
    clients = [threading.Thread(target=ask, args=(index,)) for index in indices]
    for client in clients:
        client.start()
    time.sleep(0.1)
    start = time.monotonic()
    server.terminate()
    status = server.process.wait(STOP_SECONDS)
    print(f"SIGTERM: status {status} after {time.monotonic() - start:.1f} s")
    for client in clients:
        client.join()
    problems += [f"status {status} after SIGTERM"] if status else []
    return problems + [f"log: {line.strip()}" for line in server.log if "panic" in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--minutes", type=float, default=30, help="of load, the same number with each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    minutes = args.minutes / len(args.models)
    problems = [f"{name}: {what}" for name in args.models for what in soak(name, args.binary, minutes, args.seed)]
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    sys.exit(f"{len(problems)} problems" if problems else 0)


if __name__ == "__main__":
    main()
