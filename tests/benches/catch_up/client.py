"""An open loop of PUTs that knows which of its keys were acknowledged, and a check that reads keys back.

It is a process of its own, so that what the lane does meanwhile delays no request. Its first line on stdin says what to do, as JSON;
an open loop ends when its stdin does. It prints one JSON line when it is connected and one with what it found.

Requests start at a fixed rate, and waiting for a connection counts: the latency of a request that found none free is counted from when
it should have started. A timer that fires late is this client's fault and does not count, as in `vaultaire-load`.
"""

import asyncio
import datetime
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients"))

from cluster import ACCESS_KEY, BUCKET, REGION, SECRET_KEY

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
GIVE_UP_S = 60
TRIES = 3


class Signer:
    """Signature Version 4 over three headers, with one body for all requests."""

    def __init__(self, body):
        self.body = body
        self.digest = hashlib.sha256(body).hexdigest()
        self.day = self.key = None

    def request(self, method, host, name):
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        if stamp[:8] != self.day:
            self.day = stamp[:8]
            self.key = f"AWS4{SECRET_KEY}".encode()
            for part in (self.day, REGION, "s3", "aws4_request"):
                self.key = hmac.new(self.key, part.encode(), hashlib.sha256).digest()
        path, names = f"/{BUCKET}/{name}", "host;x-amz-content-sha256;x-amz-date"
        lines = f"host:{host}\nx-amz-content-sha256:{self.digest}\nx-amz-date:{stamp}\n"
        canonical = hashlib.sha256("\n".join([method, path, "", lines, names, self.digest]).encode()).hexdigest()
        scope = f"{self.day}/{REGION}/s3/aws4_request"
        signature = hmac.new(self.key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}".encode(), hashlib.sha256).hexdigest()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: {self.digest}\r\nx-amz-date: {stamp}\r\ncontent-length: {len(self.body)}\r\n"
            f"authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\r\n"
        )
        return head.encode() + self.body


class Connection:
    def __init__(self, host):
        self.host = host
        self.reader = self.writer = None

    async def open(self):
        address, port = self.host.split(":")
        self.reader, self.writer = await asyncio.open_connection(address, int(port))

    async def ask(self, request):
        """The status and the body of an answer."""
        if self.writer is None:
            await self.open()
        try:
            self.writer.write(request)
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), GIVE_UP_S)
            length = LENGTH.search(head)
            body = await asyncio.wait_for(self.reader.readexactly(int(length.group(1)) if length else 0), GIVE_UP_S)
            return int(head[9:12]), body
        except BaseException:
            # Whatever else comes over this connection would be taken for the answer to another request.
            self.writer.close()
            self.writer = None
            raise


class OpenLoop:
    def __init__(self, wanted):
        self.gap = 1 / wanted["rate"]
        self.prefix = wanted["prefix"]
        self.signer = Signer(bytes(wanted["size"]))
        self.hosts = wanted["hosts"]
        self.connections = wanted["connections"]
        self.next = 0
        self.began = None
        self.stopped = False
        # (name, when it should have started, latency in seconds) of what was acknowledged; when and why of what was not.
        self.answered, self.failed = [], []

    async def client(self, connection):
        while not self.stopped:
            number, idle_since = self.next, time.monotonic()
            self.next += 1
            planned = self.began + number * self.gap
            if planned > idle_since:
                await asyncio.sleep(planned - idle_since)
                if self.stopped:
                    return
            # A retry would hide that a request failed, so there is none.
            name = f"{self.prefix}{number:08}"
            sent = time.monotonic()
            try:
                status, _ = await connection.ask(self.signer.request("PUT", connection.host, name))
            except (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError) as error:
                self.failed.append((planned, repr(error)))
                continue
            if status == 200:
                self.answered.append((name, planned, time.monotonic() - (planned if planned < idle_since else sent)))
            else:
                self.failed.append((planned, f"status {status}"))

    async def run(self):
        connections = [Connection(self.hosts[place % len(self.hosts)]) for place in range(self.connections)]
        for connection in connections:
            await connection.open()
        print(json.dumps({"connected": len(connections)}), flush=True)
        self.began = time.monotonic()
        clients = [asyncio.ensure_future(self.client(connection)) for connection in connections]
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        self.stopped = True
        await asyncio.gather(*clients)
        return {"began": self.began, "ended": time.monotonic(), "answered": self.answered, "failed": self.failed}


class Check:
    """Reads keys through one node: which of them are not there, or not as they were put."""

    def __init__(self, wanted):
        self.host, self.size = wanted["hosts"][0], wanted["size"]
        self.connections = wanted["connections"]
        self.names = iter(wanted["names"])
        self.signer = Signer(b"")
        self.read, self.lost = 0, []

    async def client(self, connection):
        for name in self.names:
            why = None
            for _ in range(TRIES):
                try:
                    status, body = await connection.ask(self.signer.request("GET", connection.host, name))
                except (OSError, EOFError, asyncio.TimeoutError) as error:
                    why = repr(error)
                    continue
                why = None if status == 200 and body == bytes(self.size) else f"status {status}, {len(body)} bytes"
                if status < 500:
                    break
            if why:
                self.lost.append((name, why))
            else:
                self.read += 1

    async def run(self):
        print(json.dumps({"connected": self.connections}), flush=True)
        await asyncio.gather(*(self.client(Connection(self.host)) for _ in range(self.connections)))
        return {"read": self.read, "lost": self.lost}


class Client:
    """The lane's side: the process and its two lines."""

    def __init__(self, **wanted):
        self.process = subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise RuntimeError(f"a client did not connect to {wanted['hosts']}")

    def end(self):
        """What it found."""
        out, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"a client ended with {self.process.returncode}")
        return json.loads(out)


def main():
    wanted = json.loads(sys.stdin.readline())
    doing = Check(wanted) if "names" in wanted else OpenLoop(wanted)
    print(json.dumps(asyncio.run(doing.run())), flush=True)


if __name__ == "__main__":
    main()
