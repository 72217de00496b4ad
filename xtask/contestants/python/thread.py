#!/usr/bin/env python3
"""Unit: thread. Shares: objects, queues and locks. Ends: all are joined.

cargo xtask compare --contestant 'py-thread=python3 xtask/contestants/python/thread.py'
"""

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY, create_connection, timeout

import jobs
from contestant import Standing, Unsupported, serve, thread_pool
from deadlines import FRAME, Ledger, slots
from http_client import download_one, fetch_one
from jobs import now_ns

# Thousands of threads, of which none calls deeply: 256 KiB are enough for each.
threading.stack_size(256 * 1024)

STANDING = Standing()


def together(tasks, call_off=None):
    """Does each of these in a thread of its own, and gives what they return, in order.

    A thread has no result: each leaves its own in a list. What fails in one fails here, when
    all have ended. `call_off` frees those that wait for one that could not be started.
    """
    results, errors, threads = [None] * len(tasks), [], []

    def run(place, work, *args):
        try:
            results[place] = work(*args)
        except BaseException as error:
            errors.append(error)

    try:
        for place, task in enumerate(tasks):
            thread = threading.Thread(target=run, args=(place, *task))
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        if call_off is not None:
            call_off()
        raise Unsupported(f"{error}, after {len(threads)} of {len(tasks)}") from None
    finally:
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return results


def pool(threads):
    """A pool that stands, with this number of threads."""
    return STANDING.get(threads, lambda: thread_pool(threads), ThreadPoolExecutor.shutdown)


def counter(job, _task):
    total, lock, guard = 0, threading.Lock(), job["guard"]
    increments = range(job["increments"])

    def locked():
        nonlocal total
        for _ in increments:
            with lock:
                total += 1

    def racy():
        nonlocal total
        for _ in increments:
            total += 1

    def held_across_a_yield():
        nonlocal total
        for _ in increments:
            with lock:
                total += 1
                time.sleep(0)

    if guard == "atomic":
        raise Unsupported(jobs.NO_ATOMIC)
    add = {"lock": locked, "racy": racy, "async": held_across_a_yield}[guard]
    together([(add,)] * job["workers"])
    return jobs.counted(job, total)


def pipeline(job, task):
    jobs.needs_own_channel(job)
    items, level = queue.Queue(jobs.messages_held(job)), Level(task)
    tallies = [jobs.Tally(job) for _ in range(job["consumers"])]
    pause = job["produce_us"] * job["batch"] / 1e6

    def produce(producer):
        for message in jobs.messages(job, producer):
            if pause:
                time.sleep(pause)
            items.put(message)
            level.add(job["batch"])

    def consume(tally):
        while True:
            level.add(-job["batch"])
            message = items.get()
            if message is None:
                return
            tally.process(message)
            items.task_done()

    def release():
        together([(produce, producer) for producer in range(job["producers"])])
        items.join()
        processed = sum(tally.received for tally in tallies)
        for _ in tallies:
            items.put(None)
        return processed

    processed, *_ = together([(release,)] + [(consume, tally) for tally in tallies])
    return jobs.piped([tally.parts() for tally in tallies], processed, level.most)


class Level:
    """How many there are of something, and the most that there ever were; not in a timed job."""

    def __init__(self, task):
        self._lock, self.now, self.most = threading.Lock(), 0, 0
        if task["timed"]:
            self.add = lambda number: None

    def add(self, number):
        with self._lock:
            self.now += number
            self.most = max(self.most, self.now)


def primes_pool(job, _task):
    return pool(job["workers"])


def primes(job, task):
    return {"count": sum(primes_pool(job, task).map(jobs.count_primes, jobs.chunks(job)))}


def exchange(job, _task):
    messages, end, value = queue.SimpleQueue(), object(), jobs.before(job)

    def write():
        nonlocal value
        for message in jobs.exchanged_messages(job):
            messages.put(message)
        value = job["value"]
        messages.put(end)

    def read():
        transcript = jobs.Transcript()
        while True:
            message = messages.get()
            if message is end:
                return transcript.outcome(value)
            transcript.collect(message)

    return together([(write,), (read,)])[1]


def fetch_pool(_job, task):
    return pool(len(task["urls"]))


def fetch(job, task):
    workers, started = fetch_pool(job, task), now_ns()

    def get(url):
        return fetch_one(url), now_ns() - started

    return jobs.fetched(list(workers.map(get, task["urls"])))


def download_pool(job, task):
    return pool(max(min(job["limit"], len(task["urls"])), 1))


def download(job, task):
    files = [(url, task["into"]) for url in task["urls"]]
    return jobs.downloaded(list(download_pool(job, task).map(download_one, files)))


def offload_pool(job, task):
    return pool(jobs.blocking_calls(job, task)) if job["place"] == "pool" else None


def offload(job, task):
    workers, heartbeat = offload_pool(job, task), jobs.Heartbeat(job)
    if workers is None:
        return jobs.blocked_inline(job)
    return jobs.handed_over(job, workers, heartbeat)


def ping_pong(job, _task):
    tokens = [queue.SimpleQueue() for _ in range(job["units"])]

    def play(unit):
        station = jobs.Station(job, unit)
        own, following = tokens[unit], tokens[(unit + 1) % len(tokens)]
        token = station.first()
        if token is not None:
            following.put(token)
        while station.waits():
            token = station.take(own.get())
            if token is not None:
                following.put(token)
        return station.arrived, station.out_of_order

    return jobs.played(together([(play, unit) for unit in range(job["units"])]))


def sleepers(job, _task):
    latch, wait_ns, started = threading.Barrier(job["units"]), job["wait_ms"] * 1_000_000, now_ns()

    def sleep():
        begun = now_ns()
        latch.wait()
        due = now_ns() + wait_ns
        time.sleep(wait_ns / 1e9)
        return begun, due, now_ns()

    units = together([(sleep,)] * job["units"], call_off=latch.abort)
    return jobs.woken(units, started)


def spawn(job, task):
    alive = Level(task)

    def perform(batch, unit):
        alive.add(1)
        total = jobs.splitmix64(unit)
        below = jobs.children(job, batch, unit)
        if below:
            total += start(batch, below)
        alive.add(-1)
        return total

    def start(batch, units):
        if job["reply"] == "join":
            return sum(together([(perform, batch, unit) for unit in units]))
        replies = queue.SimpleQueue()

        def reply(unit):
            replies.put(perform(batch, unit))

        together([(reply, unit) for unit in units])
        return sum(replies.get_nowait() for _ in units)

    total = sum(start(batch, jobs.first_units(job, batch)) for batch in jobs.batches(job))
    return jobs.spawned(job, total, alive.most, alive.now)


def deadlines(job, task):
    host, port = task["address"].rsplit(":", 1)
    ledger, sockets = Ledger(job, threading.Lock()), []

    def call_off():
        for socket in sockets:
            try:
                socket.shutdown(SHUT_RDWR)  # what reads from it returns
            except OSError:
                pass  # the responder has closed it

    def work(number, socket):
        slot = ledger.slot(number)
        try:
            operate(slot, socket)
        except OSError:
            if ledger.cancelled_ns is None:
                call_off()  # or the others would wait at the gate
                raise
        finally:
            slot.close()

    def operate(slot, socket):
        socket.sendall(slot.gate())
        answer(slot, socket, bytearray())
        received = bytearray()  # it outlives a read that is cut
        for request in iter(slot.begin, None):
            socket.settimeout(None)
            socket.sendall(request)
            if ledger.sent():
                call_off()
            slot.end(answer(slot, socket, received))

    def answer(slot, socket, received):
        while True:
            left = slot.left()
            if left == 0:
                return None
            socket.settimeout(left)
            try:
                piece = socket.recv(FRAME.size - len(received))
            except timeout:
                return None
            if not piece:
                raise OSError("the responder has closed the connection")
            received += piece
            if len(received) == FRAME.size:
                value = slot.value(received)
                received.clear()
                if value is not None:
                    return value

    try:
        for _ in range(slots(job)):
            sockets.append(create_connection((host.strip("[]"), int(port))))
            sockets[-1].setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        together([(work, *pair) for pair in enumerate(sockets)], call_off)
    finally:
        for socket in sockets:
            socket.close()
    return ledger.outcome()


WORKLOADS = {
    "counter": counter,
    "pipeline": pipeline,
    "primes": primes,
    "exchange": exchange,
    "fetch": fetch,
    "download": download,
    "offload": offload,
    "ping-pong": ping_pong,
    "sleepers": sleepers,
    "spawn": spawn,
    "deadlines": deadlines,
}
PREPARE = {
    "primes": primes_pool,
    "fetch": fetch_pool,
    "download": download_pool,
    "offload": offload_pool,
}

if __name__ == "__main__":
    serve(WORKLOADS, PREPARE, STANDING.close)
