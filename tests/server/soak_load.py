"""The load of the soak test: clients of all kinds at once."""

import random
import threading
import time
from collections import Counter, defaultdict

from soak_clients import Busy, Client, Wrong
from soak_process import KEY
from soak_requests import BadRequest, Request

# Clients that ask, and clients that do not send whole requests.
ASKING, STALLING = 12, 4
# Pause after a rejection.
BUSY_SECONDS = 0.2


def same(found: object, expected: object) -> bool:
    """Whether two answers are the same; probabilities may differ in their last digits."""
    if isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, float):
        return abs(found - expected) < 1e-3
    return found == expected


class Load:
    """Requests, the answers that they have alone, and what became of all that were sent."""

    def __init__(self, url: str, valid: list[Request], invalid: list[BadRequest], seed: int) -> None:
        self.url, self.valid, self.invalid = url, valid, invalid
        self.seeds = random.Random(seed)
        self.answers: list[object] = []
        self.lock = threading.Lock()
        self.outcomes: dict[str, Counter] = defaultdict(Counter)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.problems: list[str] = []

    def record(self) -> None:
        """Asks every valid request alone, then again and as a stream."""
        client = Client(self.url, KEY)
        for request in self.valid:
            answer = client.ask(request, False)
            self.answers.append(answer)
            for stream in (False, True):
                again = client.ask(request, stream)
                assert same(again, answer), f"{request.kind}: {again} instead of {answer}, stream: {stream}"
        for request in self.invalid:
            client.fail(request)
        client.close()

    def run(self, seconds: float) -> None:
        """Sends requests of all kinds for some time."""
        end = time.monotonic() + seconds
        workers = [threading.Thread(target=self._ask, args=(end, self._chance())) for _ in range(ASKING)]
        workers += [threading.Thread(target=self._stall, args=(end, self._chance())) for _ in range(STALLING)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _chance(self) -> random.Random:
        return random.Random(self.seeds.random())

    def _ask(self, end: float, chance: random.Random) -> None:
        client = Client(self.url, KEY)
        while time.monotonic() < end:
            index = chance.randrange(len(self.valid))
            request, action = self.valid[index], chance.random()
            if action < 0.2:
                bad = chance.choice(self.invalid)
                self._note("invalid", bad.kind, lambda: client.fail(bad))
            elif action < 0.4:
                self._note("left", request.kind, lambda: client.leave(request, chance))
            else:
                stream = action < 0.6 and request.can_stream
                kind = f"{request.kind}, streamed" if stream else request.kind
                self._note(kind, kind, lambda: self._check(client, index, stream))
            if chance.random() < 0.1:
                client.close()
        client.close()

    def _check(self, client: Client, index: int, stream: bool) -> None:
        answer = client.ask(self.valid[index], stream)
        if not same(answer, self.answers[index]):
            raise Wrong(f"{answer} instead of {self.answers[index]}")

    def _stall(self, end: float, chance: random.Random) -> None:
        client = Client(self.url, KEY)
        while (left := end - time.monotonic()) > 0:
            request = chance.choice(self.valid)
            self._note("stalled", request.kind, lambda: client.stall(request, chance, min(left, 20 * chance.random())))

    def _note(self, row: str, kind: str, action: object) -> None:
        start = time.monotonic()
        try:
            action()
            outcome = "right"
        except Busy:
            outcome = "busy"
            time.sleep(BUSY_SECONDS)
        except Exception as error:  # noqa: BLE001: everything else is a finding.
            outcome = "wrong"
            self.problems.append(f"{row}: {kind}: {error!r}")
        with self.lock:
            self.outcomes[row][outcome] += 1
            if outcome == "right":
                self.seconds[row].append(time.monotonic() - start)

    def table(self) -> str:
        """Counts and times of all kinds of requests."""
        lines = [f"{'requests':28} {'right':>7} {'busy':>7} {'wrong':>7} {'median s':>9} {'worst s':>9}"]
        for row, counts in sorted(self.outcomes.items()):
            seconds = sorted(self.seconds[row]) or [0.0]
            figures = " ".join(f"{counts[outcome]:7}" for outcome in ("right", "busy", "wrong"))
            lines.append(f"{row:28} {figures} {seconds[len(seconds) // 2]:9.2f} {seconds[-1]:9.2f}")
        return "\n".join(lines)
