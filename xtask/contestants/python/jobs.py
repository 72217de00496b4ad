"""What the jobs are and come to: the same for all models.

What the models differ in, how they wait, share and end, is in their own files.
"""

import os
import time
import zlib
from concurrent.futures import wait
from urllib.parse import urlsplit

from contestant import Unsupported

now_ns = time.perf_counter_ns  # one clock for all processes of the machine

MASK = 2**64 - 1


def splitmix64(seed):
    """A number that looks random, for each number."""
    z = (seed + 0x9E3779B97F4A7C15) & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


# counter


def additions(job):
    return job["workers"] * job["increments"]


def counted(job, total):
    return {"total": total, "lost": additions(job) - total}


NO_ATOMIC = "Python has no atomic addition"


# primes


def is_prime(n):
    """By trial division, as in the other languages here."""
    if n < 4:
        return n >= 2
    if n % 2 == 0:
        return False
    divisor = 3
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 2
    return True


def count_primes(numbers):
    return sum(map(is_prime, numbers))


def chunks(job):
    """The range in ranges, for workers to claim."""
    start, end = job["start"], job["end"]
    size = job["share"] or max(-(-(end - start) // (job["workers"] * 64)), 64)
    return [range(first, min(first + size, end)) for first in range(start, end, size)]


# pipeline


def needs_own_channel(job):
    if job["channel"] != "own":
        raise Unsupported("Python's queues are its own")


def messages(job, producer):
    """The messages of a producer: items, or lists of as many as a batch has."""
    share, more = divmod(job["items"], job["producers"])
    share, batch = share + (producer < more), job["batch"]
    if batch == 1:
        return ((producer, sequence) for sequence in range(share))
    return (
        [(producer, sequence) for sequence in range(first, min(first + batch, share))]
        for first in range(0, share, batch)
    )


def messages_held(job):
    """The most messages that the queue may hold."""
    return job["capacity"] // job["batch"]


class Tally:
    """What a consumer has processed."""

    def __init__(self, job):
        self.received = self.fingerprint = 0
        self.in_order = True
        self._next = [0] * job["producers"]
        self._is_batched = job["batch"] > 1

    def process(self, message):
        for item in message if self._is_batched else (message,):
            producer, sequence = item
            self.received += 1
            self.fingerprint += splitmix64((producer << 40) + sequence)
            self.in_order &= sequence >= self._next[producer]
            self._next[producer] = sequence + 1

    def parts(self):
        return self.received, self.fingerprint, self.in_order


def piped(parts, processed_before_release, high_water):
    """The outcome of tallies' parts."""
    received, fingerprints, in_order = zip(*parts)
    return {
        "received": sum(received),
        "fingerprint": sum(fingerprints) & MASK,
        "in_order": all(in_order),
        "processed_before_release": processed_before_release,
        "high_water": high_water,
    }


# exchange


def exchanged_messages(job):
    if job["payload"] == "text":
        return (f"message {sequence}" for sequence in range(job["messages"]))
    return range(job["messages"])


def before(job):
    """What the integer holds before: not the right value."""
    return job["value"] ^ MASK


class Transcript:
    """Messages, reduced to a digest: FNV-1a, over numbers or the bytes of texts."""

    def __init__(self):
        self.received, self.digest = 0, 0xCBF29CE484222325

    def collect(self, message):
        self.received += 1
        digest = self.digest
        for part in (message,) if isinstance(message, int) else message.encode():
            digest = (digest ^ part) * 0x100000001B3 & MASK
        self.digest = (digest ^ 0xFF) * 0x100000001B3 & MASK

    def outcome(self, value):
        return {"received": self.received, "digest": self.digest, "value": value}


# fetch and download


def checksum(body):
    return {"bytes": len(body), "checksum": zlib.crc32(body)}


def fetched(bodies):
    """The outcome of checksums, and when each was done."""
    return {
        "bodies": len(bodies),
        "bytes": sum(body["bytes"] for body, _ in bodies),
        "checksum": sum(body["checksum"] for body, _ in bodies) & MASK,
        "completion_ns": [time for _, time in bodies],
    }


def file_of(url, into):
    """Where a download goes: the last part of the URL is its name."""
    return os.path.join(into, urlsplit(url).path.rpartition("/")[2])


def save(url, into, body):
    """Writes a body to its file."""
    with open(file_of(url, into), "wb") as file:
        file.write(body)
    return len(body)


def downloaded(files):
    """The outcome of the files' lengths, and how long each took."""
    return {
        "files": len(files),
        "bytes": sum(length for length, _ in files),
        "completion_ns": [time for _, time in files],
    }


# offload


class Heartbeat:
    """Counts beats, and keeps the longest time between two."""

    def __init__(self, job):
        self.started_ns = self._last = now_ns()
        self._every = job["heartbeat_ms"] * 1_000_000
        self._ticks = self._longest = 0

    def left(self):
        """Until the next beat is due, in seconds."""
        return max(0, self._last + self._every - now_ns()) / 1e9

    def tick_if_due(self):
        if now_ns() >= self._last + self._every:
            self._ticks += 1
            self._close_gap()

    def outcome(self, times_ns):
        self._close_gap()
        return {
            "done": len(times_ns),
            "ticks": self._ticks,
            "longest_gap_ns": self._longest,
            "completion_ns": times_ns,
        }

    def _close_gap(self):
        now = now_ns()
        self._longest = max(self._longest, now - self._last)
        self._last = now


def blocked_inline(job):
    """The mistake: the heartbeat's own thread makes the calls."""
    heartbeat, times = Heartbeat(job), []
    for _ in range(job["calls"]):
        times.append(block(job, heartbeat.started_ns))
        heartbeat.tick_if_due()
    return heartbeat.outcome(times)


def block(job, started_ns):
    """The call that blocks. Says how long after the start it was done."""
    time.sleep(job["call_ms"] / 1e3)
    return now_ns() - started_ns


def handed_over(job, workers, heartbeat):
    """Has a pool of concurrent.futures make the calls."""
    started = heartbeat.started_ns
    calls = pending = [workers.submit(block, job, started) for _ in range(job["calls"])]
    while pending:
        _, pending = wait(pending, timeout=heartbeat.left())
        heartbeat.tick_if_due()
    return heartbeat.outcome([call.result() for call in calls])


def blocking_calls(job, task):
    """The most that are made at once."""
    return max(min(job["calls"], task["blocking_threads"]), 1)


# sleepers


def woken(units, started_ns):
    """The outcome of units that each say when they had begun, were due, and woke."""
    begun, due, woke = zip(*units)
    first = min(woke)
    return {
        "woken": len(units),
        "early": sum(at < then for at, then in zip(woke, due)),
        "alive": sum(at <= first for at in begun),
        "standing_ns": max(begun) - started_ns,
        "latest_ns": max(0, *(at - then for at, then in zip(woke, due))),
    }


# spawn


def batches(job):
    """Units that are started together: the first, and one past the last."""
    units, size = job["units"], job["batch"]
    return [(first, min(first + size, units)) for first in range(0, units, size)]


def first_units(job, batch):
    """Those that the job starts itself."""
    first, end = batch
    return range(first, end) if job["tree"] == "flat" else range(first, first + 1)


def children(job, batch, unit):
    """Those that a unit starts."""
    if job["tree"] == "flat":
        return range(0)
    (first, end), width = batch, int(job["tree"])
    below = first + (unit - first) * width + 1
    return range(min(below, end), min(below + width, end))


def spawned(job, total, most_alive, left):
    return {
        "units": job["units"],
        "sum": total & MASK,
        "most_alive": most_alive,
        "left": left,
    }


# ping-pong


class Station:
    """A unit's place in the ring. The token is the number of its pass."""

    def __init__(self, job, unit):
        self._units, self._passes = job["units"], job["passes"]
        self._next = (unit - 1) % self._units
        self._is_first = unit == 0
        self.arrived = self.out_of_order = 0

    def first(self):
        """The token that it sends before it waits for any, if any."""
        return 0 if self._is_first and self._passes > 0 else None

    def waits(self):
        return self._next < self._passes

    def take(self, token):
        """The token has arrived: as it is passed on, or None after the last pass."""
        self.arrived += 1
        self.out_of_order += token != self._next
        self._next += self._units
        return token + 1 if token + 1 < self._passes else None


def played(stations):
    """The outcome of what each station has seen."""
    return {
        "passes": sum(arrived for arrived, _ in stations),
        "out_of_order": sum(out_of_order for _, out_of_order in stations),
    }
