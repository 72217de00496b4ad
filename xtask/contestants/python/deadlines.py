"""What the operations of `deadlines` ask, and what becomes of them, without I/O.

A slot is a unit with a connection of its own to a responder. It does one operation after the
other. Its first request is the gate, which is answered when every slot has come.
"""

import math
import struct

from jobs import MASK, now_ns, splitmix64

FRAME = struct.Struct("<QQ")
NEVER = MASK  # the time of a request that is not answered
USUAL_DEADLINE_MS = 50


def begun(job):
    """How many operations begin."""
    return job["cancel_after"] or job["operations"]


def slots(job):
    """How many are in flight at once."""
    return min(begun(job), job["limit"])


def takes_us(job, number):
    """After what time the responder is to answer an operation, and whether that is late."""
    times_from = (job["deadline_ms"] or USUAL_DEADLINE_MS) * 1_000
    late = number * job["late_per_mille"] // 1_000
    random = splitmix64(number ^ MASK)
    if late == (number - 1) * job["late_per_mille"] // 1_000:
        return random % (times_from // 20), False
    if late % 2 == 0:
        return NEVER, True
    return 4 * times_from + random % (4 * times_from), True


class Ledger:
    """What all slots share. `lock` is entered where units run at the same time."""

    def __init__(self, job, lock):
        self.job, self._lock = job, lock
        self._taken, self._begun, self._slots = slots(job), 0, []
        self.cancelled_ns = None

    def next(self):
        """The number of the next operation; None after the last."""
        with self._lock:
            self._taken += 1
            return self._taken if self._taken <= begun(self.job) else None

    def sent(self):
        """A request has been sent. True for the last one, if all are cancelled then."""
        with self._lock:
            self._begun += 1
            if not self.job["cancel_after"] or self._begun != begun(self.job):
                return False
            self.cancelled_ns = now_ns()
            return True

    def slot(self, number):
        """The slot of this number, counted from 0."""
        slot = Slot(self, number + 1)
        self._slots.append(slot)
        return slot

    def outcome(self):
        """The outcome, when all slots have ended."""
        cancel_ns = 0 if self.cancelled_ns is None else now_ns() - self.cancelled_ns
        late = sorted(late for slot in self._slots for late in slot.late_by_ns)

        def rank(share):
            return late[math.ceil(share * len(late)) - 1] if late else 0

        counts = {
            name: sum(slot.counts[name] for slot in self._slots) for name in Slot.COUNTS
        }
        return {
            **counts,
            "sum": counts["sum"] & MASK,
            "slots": len(self._slots),
            "operations": self._begun,
            "lateness_ns": {"p50": rank(0.5), "p99": rank(0.99), "max": rank(1)},
            "cancel_ns": cancel_ns,
            "seen": {"connections": 0, "requests": 0, "most_at_once": 0, "open": 0, "cpu_ns": 0},
        }


class Slot:
    """A unit's operations, one after the other."""

    COUNTS = (
        "answered",
        "cut",
        "missed",
        "overslept",
        "cancelled",
        "sum",
        "early",
        "wrong",
        "ended",
    )

    def __init__(self, ledger, first):
        self._ledger, self._first = ledger, first
        self.counts, self.late_by_ns = dict.fromkeys(self.COUNTS, 0), []
        self._number = self._is_late = self._takes_us = self._begun_ns = self._due_ns = None
        self._expected = 0

    def gate(self):
        """The request that is answered when every slot has sent it."""
        return FRAME.pack(0, slots(self._ledger.job))

    def begin(self):
        """The request of its next operation, whose deadline counts from now on, or None."""
        number, self._first = self._first or self._ledger.next(), None
        if number is None:
            return None
        job = self._ledger.job
        self._takes_us, self._is_late = takes_us(job, number)
        self._number = self._expected = number
        self._begun_ns = now_ns()
        deadline = job["deadline_ms"] * 1_000_000
        self._due_ns = self._begun_ns + deadline if deadline else None
        return FRAME.pack(number, self._takes_us)

    def left(self):
        """How long to wait for the answer, in seconds; None without a deadline."""
        return None if self._due_ns is None else max(0, self._due_ns - now_ns()) / 1e9

    def value(self, frame):
        """The value in an answer, if it is the one that is waited for: others are too late."""
        number, value = FRAME.unpack(frame)
        if number > self._expected:
            raise OSError(f"operation {number} was answered, and not asked")
        return value if number == self._expected else None

    def end(self, value):
        """The operation has ended, with its value, or without one as its deadline has fired."""
        number, counts, now = self._number, self.counts, now_ns()
        self._number = None
        counts["ended"] += 1
        if value is not None:
            overslept = now - self._begun_ns >= self._takes_us * 1_000
            late = "overslept" if overslept else "wrong"
            counts[late if self._is_late else "answered"] += 1
        else:
            counts["cut" if self._is_late else "missed"] += 1
            if now < self._due_ns:
                counts["early"] += 1
            else:
                self.late_by_ns.append(now - self._due_ns)
            value = splitmix64(number)
        counts["sum"] += value

    def close(self):
        """The slot ends: what was in flight has been cancelled."""
        if self._number is not None:
            self.counts["ended"] += 1
            self.counts["cancelled"] += 1
            self.counts["sum"] += splitmix64(self._number)
            self._number = None
