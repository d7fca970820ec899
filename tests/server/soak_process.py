"""The server of the soak test: its process, what it uses, and whether it answers."""

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

KEY = "secret"
# More requests than may run and wait.
PARALLEL, QUEUE = 4, 6
# Longest time of an answer of /health.
HEALTH_LIMIT = 1.0
# Time in which the threads of earlier requests end, and in which all requests of gone clients do.
THREADS_TIMEOUT, IDLE_TIMEOUT = 20, 60


@dataclass(frozen=True)
class Usage:
    """What a process uses."""

    mib: float
    threads: int
    files: int


class Server:
    """A running server."""

    def __init__(self, binary: str, model: list[str]) -> None:
        limits = ["--parallel", str(PARALLEL), "--max-queue", str(QUEUE), "--allow-videos"]
        environment = os.environ | {"SMOLVLM_API_KEY": KEY, "SMOLVLM_DEVICE": "cpu"}
        # The allocator returns freed memory at once: what is resident is in use.
        environment["MIMALLOC_PURGE_DELAY"] = "0"
        command = [binary, "serve", *model, "--port", "0", *limits]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self.url = ""
        for line in self.process.stderr:
            self.log.append(line)
            if "listening on " in line:
                self.url = line.split("listening on ")[1].strip()
            if line.rstrip().endswith("ready"):
                break
        assert self.url, f"the server did not start: {''.join(self.log)}"
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def usage(self) -> Usage:
        folder = Path(f"/proc/{self.process.pid}")
        status = (folder / "status").read_text()
        figure = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads")}
        return Usage(figure["VmRSS"] / 1024, figure["Threads"], len(list((folder / "fd").iterdir())))

    def get(self, path: str) -> tuple[int, str]:
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def idle(self, before: Usage | None = None) -> tuple[Usage, float]:
        """Waits until no request runs or waits and no more threads and files are used than `before`. Returns what is
        used then, and the seconds until the last request had ended."""
        start = time.monotonic()
        while self._requests() > 0:
            assert time.monotonic() - start < IDLE_TIMEOUT, "requests run although all clients have gone"
            time.sleep(0.1)
        seconds = time.monotonic() - start
        start, usage = time.monotonic(), self.usage()
        while time.monotonic() - start < THREADS_TIMEOUT:
            if before and usage.threads <= before.threads and usage.files <= before.files:
                break
            time.sleep(0.5)
            usage = self.usage()
        return usage, seconds

    def _requests(self) -> float:
        figures = self.get("/metrics")[1]
        return sum(float(count) for count in re.findall(r"^smolvlm_requests_(?:running|waiting) (\S+)", figures, re.M))

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Health:
    """Asks for /health all the time, and watches the memory under load."""

    def __init__(self, server: Server) -> None:
        self.server, self.stopped = server, threading.Event()
        self.slowest, self.count, self.peak_mib, self.problems = 0.0, 0, 0.0, []
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.stopped.wait(0.2):
            start = time.monotonic()
            try:
                status = self.server.get("/health")[0]
            except (OSError, HTTPException) as error:
                self.problems.append(f"/health: {error!r}")
                continue
            seconds = time.monotonic() - start
            self.peak_mib = max(self.peak_mib, self.server.usage().mib)
            self.slowest, self.count = max(self.slowest, seconds), self.count + 1
            if status != 200 or seconds > HEALTH_LIMIT:
                self.problems.append(f"/health: {status} after {seconds:.2f} s")

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()
