"""How close the client comes to the ideal, against a server of known latency, and how fast it replays.

    python benchmarks/generation.py [--peer /tmp/peer/bin/python]

The server is another process, which notes how long it truly held each request. With 64 at once the ideal time is the
sum of these, divided by 64. The peer is OpenAI's own asynchronous client with a semaphore, that appends its answers to
a file; it is left out where its Python is missing: `python -m venv /tmp/peer && /tmp/peer/bin/pip install openai`.
Prints Markdown tables, and a line of JSON at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AT_ONCE = 64
SERVERS = {"50 ms": 8192, "200 ms": 2048, "20 to 400 ms": 2048}
"""Latency of each server, and the requests that are sent."""
PROMPT = "Write a problem about the following text, and solve it step by step.\n\n" + "The living wood. " * 60


class Held(asyncio.Protocol):
    """Answers every POST after a time, with a text that is the longer the longer it took."""

    total = 0.0
    latency = ""
    chance = random.Random(0)

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self.received = b""
            self.send(repr(Held.total).encode())
        elif len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            self.received = b""
            least, _, most = self.latency.removesuffix(" ms").partition(" to ")
            seconds = self.chance.uniform(float(least), float(most or least)) / 1000
            now = time.perf_counter()
            asyncio.get_running_loop().call_later(seconds, self.answer, seconds, now)

    def answer(self, seconds: float, since: float) -> None:
        message = {"role": "assistant", "content": "word " * int(2000 * seconds)}
        usage = {"prompt_tokens": 300, "completion_tokens": 200, "total_tokens": 500}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        content = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
        self.send(json.dumps(content).encode())
        Held.total += time.perf_counter() - since

    def send(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


async def serve(latency: str) -> None:
    Held.latency = latency
    server = await asyncio.get_running_loop().create_server(Held, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def started(latency: str) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", latency]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


def held(url: str) -> float:
    with urllib.request.urlopen(url) as response:
        return float(response.read())


PEER = """
import asyncio, json, sys, time
from openai import AsyncOpenAI
url, count, prompt, path = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
async def main():
    slots = asyncio.Semaphore(64)
    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        with open(path, "a") as file:
            async def one(number):
                async with slots:
                    message = {"role": "user", "content": f"{number}\\n{prompt}"}
                    answer = await client.chat.completions.create(model="m", messages=[message], max_tokens=512)
                    file.write(json.dumps(answer.choices[0].message.content) + "\\n")
                    file.flush()
            await asyncio.gather(*[one(number) for number in range(count)])
start = time.perf_counter()
asyncio.run(main())
print(time.perf_counter() - start)
"""


def sapwood(url: str, count: int, path: Path) -> tuple[float, float]:
    """Seconds to ask, and seconds to ask the same again."""
    from sapwood.generation.cache import Cache, Request
    from sapwood.generation.client import complete
    from sapwood.recipe.server import ModelServer

    server = ModelServer(url=url, model="m", parallel=AT_ONCE)
    requests = [Request(({"role": "user", "content": f"{number}\n{PROMPT}"},)) for number in range(count)]
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        complete(server, requests, Cache(path))
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def run(latency: str, count: int, peer: str, repeats: int) -> dict[str, Any]:
    """The best of some repeats."""
    line: dict[str, Any] = {"server": latency, "requests": count, "sapwood": 0.0, "peer": 0.0, "replayed": 0.0}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as directory, started(latency) as url:
            path = Path(directory) / "answers.jsonl"
            first, again = sapwood(url, count, path)
            ideal = held(url) / AT_ONCE
            line["sapwood"] = max(line["sapwood"], ideal / first)
            line["replayed"] = max(line["replayed"], count / again)
            assert held(url) == ideal * AT_ONCE, "a replay asks nothing"
            if Path(peer).exists():
                before = held(url)
                command = [peer, "-c", PEER, url, str(count), PROMPT, f"{directory}/peer.jsonl"]
                took = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                line["peer"] = max(line["peer"], (held(url) - before) / AT_ONCE / took)
    return line


def large_cache(answers: int) -> dict[str, float]:
    """Writes a cache of answers of 1,500 bytes, opens it again in another process, and reads some of them."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "answers.jsonl"
        command = [sys.executable, __file__, "--cache", str(path), "--answers", str(answers)]
        subprocess.run(command, check=True)
        output = subprocess.run([*command, "--open"], check=True, capture_output=True, text=True).stdout
        found: dict[str, float] = json.loads(output)
        return found


def cache(path: Path, answers: int, open_it: bool) -> None:
    from sapwood.generation.cache import Cache, Completion

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = Cache(path)
    opened = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if open_it:
        start = time.perf_counter()
        for number in range(10_000):
            found.get(f"{number:032x}")
        microseconds = (time.perf_counter() - start) * 100
        print(json.dumps({"answers": len(found), "seconds": opened, "MiB": peak, "microseconds a look": microseconds}))
    else:
        for number in range(answers):
            found.put(f"{number:032x}", Completion("word " * 280, "stop", 300, 280))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="/tmp/peer/bin/python", help="a Python that has `openai`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--answers", type=int, default=1_000_000, help="answers in the large cache")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--open", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
    elif arguments.cache:
        cache(arguments.cache, arguments.answers, arguments.open)
    else:
        print("| server | requests | Sapwood, of the ideal | openai, of the ideal | replayed a second |")
        print("|:--|--:|--:|--:|--:|")
        lines = []
        for latency, count in SERVERS.items():
            line = run(latency, count, arguments.peer, arguments.repeats)
            lines.append(line)
            peer = f"{line['peer']:.1%}" if line["peer"] else "not installed"
            print(f"| {latency} | {count:,} | {line['sapwood']:.1%} | {peer} | {line['replayed']:,.0f} |", flush=True)
        found = large_cache(arguments.answers)
        print("\nA cache: " + ", ".join(f"{value:,.1f} {name}" for name, value in found.items()))
        print(json.dumps([*lines, found]))


if __name__ == "__main__":
    main()
