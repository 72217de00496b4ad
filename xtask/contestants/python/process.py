#!/usr/bin/env python3
"""Unit: child process. Shares: pipes, queues, and numbers in shared memory. Ends: all are joined.

cargo xtask compare --contestant 'py-process=python3 xtask/contestants/python/process.py'
"""

import time
from ctypes import c_int64, c_uint64

import jobs
from children import FORK, MOST_CHILDREN, Children
from contestant import Standing, Unsupported, serve
from http_client import download_one, fetch_one
from jobs import now_ns

STANDING = Standing()


def children(key, number, share=lambda: None):
    """Children that stand for jobs of this key, with what `share` makes for all of them."""
    return STANDING.get(key, lambda: Children(number, share()), Children.close)


def pool(processes):
    """A pool that stands, with this number of processes."""

    def end(made):
        made.close()
        made.join()

    if processes > MOST_CHILDREN:
        raise Unsupported(f"{processes} processes are too many")
    return STANDING.get(processes, lambda: FORK.Pool(processes), end)


def counter_children(job, _task):
    if job["guard"] == "atomic":
        raise Unsupported(jobs.NO_ATOMIC)
    workers = job["workers"]
    return children(("counter", workers), workers, lambda: FORK.Value(c_uint64))


def counter(job, task):
    workers = counter_children(job, task)
    workers.shared.value = 0
    workers.run([(add, job["guard"], job["increments"])] * job["workers"])
    return jobs.counted(job, workers.shared.value)


def add(total, guard, increments):
    # The number itself: through `total`, each access would take the lock once more.
    lock, number = total.get_lock(), total.get_obj()
    if guard == "racy":
        for _ in range(increments):
            number.value += 1
    elif guard == "lock":
        for _ in range(increments):
            with lock:
                number.value += 1
    else:
        for _ in range(increments):
            with lock:
                number.value += 1
                time.sleep(0)


class Pipeline:
    """What producers and consumers share."""

    def __init__(self, job):
        self.items = FORK.JoinableQueue(jobs.messages_held(job))
        self.all_put = FORK.Barrier(job["producers"])
        self.processed = FORK.RawArray(c_uint64, job["consumers"])
        self.level = FORK.Array(c_int64, 2)  # how many items the queue holds, and ever held

    def count(self, items):
        with self.level.get_lock():
            now, most = self.level.get_obj()
            now += items
            self.level.get_obj()[:] = now, max(now, most)


def pipeline_children(job, _task):
    jobs.needs_own_channel(job)
    key = ("pipeline", job["producers"], job["consumers"], jobs.messages_held(job))
    return children(key, job["producers"] + job["consumers"], lambda: Pipeline(job))


def pipeline(job, task):
    workers, producers = pipeline_children(job, task), job["producers"]
    shared = workers.shared
    shared.level[:] = 0, 0
    shared.processed[:] = [0] * job["consumers"]
    job = {**job, "watched": not task["timed"]}
    tasks = [(produce, job, producer) for producer in range(producers)]
    tasks += [(consume, job, consumer) for consumer in range(job["consumers"])]
    results = workers.run(tasks)
    return jobs.piped(results[producers:], results[0], shared.level[1])


def produce(shared, job, producer):
    pause = job["produce_us"] * job["batch"] / 1e6
    for message in jobs.messages(job, producer):
        if pause:
            time.sleep(pause)
        shared.items.put(message)
        if job["watched"]:
            shared.count(job["batch"])
    shared.all_put.wait()
    if producer > 0:
        return None
    shared.items.join()
    processed = sum(shared.processed)
    for _ in range(job["consumers"]):
        shared.items.put(None)
    return processed


def consume(shared, job, consumer):
    tally = jobs.Tally(job)
    while True:
        if job["watched"]:
            shared.count(-job["batch"])
        message = shared.items.get()
        if message is None:
            # It is no item, but counts as one until this.
            shared.items.task_done()
            return tally.parts()
        tally.process(message)
        shared.processed[consumer] = tally.received
        shared.items.task_done()


def primes_pool(job, _task):
    return pool(job["workers"])


def primes(job, task):
    counts = primes_pool(job, task).imap_unordered(jobs.count_primes, jobs.chunks(job))
    return {"count": sum(counts)}


class Exchange:
    """What a writer and a reader share."""

    def __init__(self):
        self.messages, self.value = FORK.Queue(), FORK.Value(c_uint64)


def exchange_children(_job, _task):
    return children("exchange", 2, Exchange)


def exchange(job, task):
    workers = exchange_children(job, task)
    workers.shared.value.value = jobs.before(job)
    return workers.run([(write, job), (read,)])[1]


def write(shared, job):
    for message in jobs.exchanged_messages(job):
        shared.messages.put(message)
    shared.value.value = job["value"]
    shared.messages.put(None)


def read(shared):
    transcript = jobs.Transcript()
    for message in iter(shared.messages.get, None):
        transcript.collect(message)
    return transcript.outcome(shared.value.value)


def fetch_pool(_job, task):
    return pool(len(task["urls"]))


def fetch(job, task):
    workers, started = fetch_pool(job, task), now_ns()
    bodies = workers.imap_unordered(fetch_one, task["urls"])
    return jobs.fetched([(body, now_ns() - started) for body in bodies])


def download_pool(job, task):
    return pool(max(min(job["limit"], len(task["urls"])), 1))


def download(job, task):
    files = [(url, task["into"]) for url in task["urls"]]
    return jobs.downloaded(list(download_pool(job, task).imap_unordered(download_one, files)))


def offload_pool(job, task):
    return pool(jobs.blocking_calls(job, task)) if job["place"] == "pool" else None


def offload(job, task):
    workers, heartbeat = offload_pool(job, task), jobs.Heartbeat(job)
    if workers is None:
        return jobs.blocked_inline(job)
    times, started = [], heartbeat.started_ns

    def done(_time):
        times.append(now_ns() - started)

    def call(_number):
        return workers.apply_async(jobs.block, (job, started), callback=done)

    for call in [call(number) for number in range(job["calls"])]:
        while not call.ready():
            call.wait(heartbeat.left())
            heartbeat.tick_if_due()
        call.get()
    return heartbeat.outcome(times)


def ping_pong_children(job, _task):
    units = job["units"]
    return children(("ping-pong", units), units, lambda: [FORK.Pipe(False) for _ in range(units)])


def ping_pong(job, task):
    workers = ping_pong_children(job, task)
    return jobs.played(workers.run([(play, job, unit) for unit in range(job["units"])]))


def play(pipes, job, unit):
    station = jobs.Station(job, unit)
    (own, _), (_, following) = pipes[unit], pipes[(unit + 1) % len(pipes)]
    token = station.first()
    if token is not None:
        following.send(token)
    while station.waits():
        token = station.take(own.recv())
        if token is not None:
            following.send(token)
    return station.arrived, station.out_of_order


def sleepers_children(job, _task):
    units = job["units"]
    return children(("sleepers", units), units, lambda: FORK.Barrier(units))


def sleepers(job, task):
    workers, started = sleepers_children(job, task), now_ns()
    return jobs.woken(workers.run([(sleep, job["wait_ms"])] * job["units"]), started)


def sleep(latch, wait_ms):
    begun = now_ns()
    latch.wait()
    due = now_ns() + wait_ms * 1_000_000
    time.sleep(wait_ms / 1e3)
    return begun, due, now_ns()


class Alive:
    """How many units are alive, and the most that ever were; not in a timed job."""

    def __init__(self, task):
        self.counts = FORK.Array(c_int64, 2) if not task["timed"] else None

    def add(self, units):
        if self.counts is not None:
            with self.counts.get_lock():
                now, most = self.counts.get_obj()
                self.counts.get_obj()[:] = now + units, max(now + units, most)


def spawn(job, task):
    if min(job["batch"], job["units"]) > MOST_CHILDREN:
        raise Unsupported(f"{job['batch']} processes at once are too many")
    alive = Alive(task)
    units = (jobs.first_units(job, batch) for batch in jobs.batches(job))
    batches = zip(jobs.batches(job), units)
    total = sum(start_units(job, alive, batch, first) for batch, first in batches)
    left, most = alive.counts or (0, 0)
    return jobs.spawned(job, total, most, left)


def start_units(job, alive, batch, units):
    """Starts a process for each of these units, and adds up what they answer."""
    # A process has no result: each has a pipe of its own, or all share a queue.
    replies = FORK.SimpleQueue() if job["reply"] == "channel" else None
    started = []
    for unit in units:
        ours, theirs = (None, None) if replies else FORK.Pipe(False)
        process = FORK.Process(target=perform, args=(job, alive, batch, unit, replies or theirs))
        process.start()
        if theirs is not None:
            theirs.close()
        started.append((process, ours))
    total = 0
    for process, answer in started:
        total += replies.get() if replies else answer.recv()
    for process, answer in started:
        process.join()
        process.close()
        if answer is not None:
            answer.close()
    return total


def perform(job, alive, batch, unit, reply):
    alive.add(1)
    total = jobs.splitmix64(unit)
    below = jobs.children(job, batch, unit)
    if below:
        total += start_units(job, alive, batch, below)
    alive.add(-1)
    (reply.put if job["reply"] == "channel" else reply.send)(total)


def deadlines(_job, _task):
    raise Unsupported("a child for each connection that waits: its users take threads or asyncio")


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
    "counter": counter_children,
    "pipeline": pipeline_children,
    "primes": primes_pool,
    "exchange": exchange_children,
    "fetch": fetch_pool,
    "download": download_pool,
    "offload": offload_pool,
    "ping-pong": ping_pong_children,
    "sleepers": sleepers_children,
}

if __name__ == "__main__":
    serve(WORKLOADS, PREPARE, STANDING.close)
