#!/usr/bin/env python3
"""Unit: task of asyncio. Shares: objects, as one task runs at a time. Ends: all are awaited.

cargo xtask compare --contestant 'py-asyncio=python3 xtask/contestants/python/aio.py'

HTTP needs aiohttp (Python 3.10 or later), in the versions of requirements.txt. Without it,
`--no-aiohttp REASON` says why it is missing.
"""

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jobs
from contestant import Standing, Unsupported, serve, thread_pool
from deadlines import FRAME, Ledger, slots
from jobs import now_ns

try:
    import aiohttp
except ImportError:
    aiohttp = None

LOOP = asyncio.new_event_loop()
STANDING = Standing()
OPTIONS = argparse.ArgumentParser()
OPTIONS.add_argument("--no-aiohttp", metavar="REASON", default="it is not installed")


async def counter(job, _task):
    total, lock, guard = 0, asyncio.Lock(), job["guard"]
    increments = range(job["increments"])

    async def locked():
        nonlocal total
        for _ in increments:
            async with lock:
                total += 1

    async def racy():
        nonlocal total
        for _ in increments:
            total += 1

    async def held_across_a_yield():
        nonlocal total
        for _ in increments:
            async with lock:
                total += 1
                await asyncio.sleep(0)

    if guard == "atomic":
        raise Unsupported(jobs.NO_ATOMIC)
    add = {"lock": locked, "racy": racy, "async": held_across_a_yield}[guard]
    await asyncio.gather(*(add() for _ in range(job["workers"])))
    return jobs.counted(job, total)


async def pipeline(job, task):
    jobs.needs_own_channel(job)
    items, held, most = asyncio.Queue(jobs.messages_held(job)), 0, 0
    watched, batch = not task["timed"], job["batch"]
    tallies = [jobs.Tally(job) for _ in range(job["consumers"])]
    pause = job["produce_us"] * batch / 1e6

    async def produce(producer):
        nonlocal held, most
        for message in jobs.messages(job, producer):
            if pause:
                await asyncio.sleep(pause)
            await items.put(message)
            if watched:
                held += batch
                most = max(most, held)

    async def consume(tally):
        nonlocal held
        while True:
            if watched:
                held -= batch
            tally.process(await items.get())
            items.task_done()

    consumers = [asyncio.ensure_future(consume(tally)) for tally in tallies]
    producers = asyncio.gather(*(produce(producer) for producer in range(job["producers"])))
    # A consumer ends only by a failure.
    await asyncio.wait([producers, *consumers], return_when=asyncio.FIRST_COMPLETED)
    for consumer in consumers:
        if consumer.done():
            consumer.result()
    await producers
    await items.join()
    processed = sum(tally.received for tally in tallies)
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    return jobs.piped([tally.parts() for tally in tallies], processed, most)


async def primes(job, _task):
    """One task at a time runs, on one core: asyncio is not for this."""
    chunks, found = iter(jobs.chunks(job)), 0

    async def search():
        nonlocal found
        for numbers in chunks:
            found += jobs.count_primes(numbers)
            await asyncio.sleep(0)  # or the loop would stand still until all are found

    await asyncio.gather(*(search() for _ in range(job["workers"])))
    return {"count": found}


async def exchange(job, _task):
    messages, end, value = asyncio.Queue(), object(), jobs.before(job)

    async def write():
        nonlocal value
        for message in jobs.exchanged_messages(job):
            await messages.put(message)
        value = job["value"]
        await messages.put(end)

    async def read():
        transcript = jobs.Transcript()
        while True:
            message = await messages.get()
            if message is end:
                return transcript.outcome(value)
            transcript.collect(message)

    return (await asyncio.gather(write(), read()))[1]


def session(limit):
    """A session that stands, with at most this number of connections."""

    async def open_session():
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit), raise_for_status=True
        )

    def end(made):
        LOOP.run_until_complete(made.close())

    if aiohttp is None:
        reason = OPTIONS.parse_args().no_aiohttp
        raise Unsupported(f"HTTP under asyncio needs the package aiohttp: {reason}")
    return STANDING.get(("session", limit), lambda: LOOP.run_until_complete(open_session()), end)


def fetch_session(_job, task):
    return session(len(task["urls"]))


async def fetch(_job, task, client):
    started = now_ns()

    async def get(url):
        async with client.get(url) as response:
            return jobs.checksum(await response.read()), now_ns() - started

    return jobs.fetched(await asyncio.gather(*map(get, task["urls"])))


def download_session(job, _task):
    return session(job["limit"])


async def download(job, task, client):
    limit = asyncio.Semaphore(job["limit"])

    async def get(url):
        async with limit:
            started = now_ns()
            async with client.get(url) as response:
                body = await response.read()
            # It goes to the system's cache, in less time than another thread takes to be asked.
            return jobs.save(url, task["into"], body), now_ns() - started

    return jobs.downloaded(await asyncio.gather(*map(get, task["urls"])))


def offload_pool(job, task):
    threads = jobs.blocking_calls(job, task)
    key = ("pool", threads)
    return STANDING.get(key, lambda: thread_pool(threads), ThreadPoolExecutor.shutdown)


async def offload(job, _task, workers):
    heartbeat = jobs.Heartbeat(job)

    async def beat():
        while True:
            await asyncio.sleep(heartbeat.left())
            heartbeat.tick_if_due()

    async def block():
        if job["place"] == "inline":
            return jobs.block(job, heartbeat.started_ns)
        return await LOOP.run_in_executor(workers, jobs.block, job, heartbeat.started_ns)

    beating = asyncio.ensure_future(beat())
    times = await asyncio.gather(*(block() for _ in range(job["calls"])))
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    return heartbeat.outcome(times)


async def ping_pong(job, _task):
    tokens = [asyncio.Queue() for _ in range(job["units"])]

    async def play(unit):
        station = jobs.Station(job, unit)
        own, following = tokens[unit], tokens[(unit + 1) % len(tokens)]
        token = station.first()
        if token is not None:
            await following.put(token)
        while station.waits():
            token = station.take(await own.get())
            if token is not None:
                await following.put(token)
        return station.arrived, station.out_of_order

    return jobs.played(await asyncio.gather(*map(play, range(job["units"]))))


async def sleepers(job, _task):
    latch, missing, started = asyncio.Event(), job["units"], now_ns()
    wait_ns = job["wait_ms"] * 1_000_000

    async def sleep():
        nonlocal missing
        begun, missing = now_ns(), missing - 1
        if missing == 0:
            latch.set()
        await latch.wait()
        due = now_ns() + wait_ns
        await asyncio.sleep(wait_ns / 1e9)
        return begun, due, now_ns()

    units = await asyncio.gather(*(sleep() for _ in range(job["units"])))
    return jobs.woken(units, started)


async def spawn(job, _task):
    alive = most = 0

    async def perform(batch, unit):
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        total = jobs.splitmix64(unit)
        below = jobs.children(job, batch, unit)
        if below:
            total += await start(batch, below)
        alive -= 1
        return total

    async def start(batch, units):
        if job["reply"] == "join":
            return sum(await asyncio.gather(*(perform(batch, unit) for unit in units)))
        replies = asyncio.Queue()

        async def reply(unit):
            await replies.put(await perform(batch, unit))

        tasks = [asyncio.ensure_future(reply(unit)) for unit in units]
        total = sum([await replies.get() for _ in tasks])
        await asyncio.gather(*tasks)
        return total

    total = 0
    for batch in jobs.batches(job):
        total += await start(batch, jobs.first_units(job, batch))
    return jobs.spawned(job, total, most, alive)


async def deadlines(job, task):
    host, port = task["address"].rsplit(":", 1)
    ledger, last_sent, streams = Ledger(job, nullcontext()), asyncio.Event(), []

    async def work(number, reader, writer):
        slot = ledger.slot(number)
        try:
            writer.write(slot.gate())
            await answer(slot, reader)
            for request in iter(slot.begin, None):
                writer.write(request)
                if ledger.sent():
                    last_sent.set()
                try:
                    slot.end(await asyncio.wait_for(answer(slot, reader), slot.left()))
                except asyncio.TimeoutError:
                    slot.end(None)
        finally:
            slot.close()

    async def answer(slot, reader):
        while True:
            # What it has read before it is cut stays in the reader.
            value = slot.value(await reader.readexactly(FRAME.size))
            if value is not None:
                return value

    try:
        for _ in range(slots(job)):
            streams.append(await asyncio.open_connection(host.strip("[]"), int(port)))
        workers = [asyncio.ensure_future(work(at, *pair)) for at, pair in enumerate(streams)]
        ended = asyncio.gather(*workers)
        cancelled = asyncio.ensure_future(last_sent.wait())
        await asyncio.wait([ended, cancelled], return_when=asyncio.FIRST_COMPLETED)
        cancelled.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(ended, cancelled, *workers, return_exceptions=True)
        outcome = ledger.outcome()
        for worker in workers:
            if not worker.cancelled():
                worker.result()
        return outcome
    finally:
        for _, writer in streams:
            writer.close()
        closed = (writer.wait_closed() for _, writer in streams)
        await asyncio.gather(*closed, return_exceptions=True)


def on_loop(work, prepare=None):
    """The work of a job, to be called from outside of the loop."""

    def run(job, task):
        stands = () if prepare is None else (prepare(job, task),)
        return LOOP.run_until_complete(work(job, task, *stands))

    return run


PREPARE = {"fetch": fetch_session, "download": download_session, "offload": offload_pool}
WORK = {
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
WORKLOADS = {name: on_loop(work, PREPARE.get(name)) for name, work in WORK.items()}


def close():
    STANDING.close()
    LOOP.close()


if __name__ == "__main__":
    OPTIONS.parse_args()
    asyncio.set_event_loop(LOOP)
    serve(WORKLOADS, PREPARE, close)
