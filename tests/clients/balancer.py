#!/usr/bin/env python3
"""Clients behind a load balancer while nodes die and are restarted: HAProxy with deploy/haproxy.cfg, three nodes, boto3.

    tests/clients/balancer.py --bin target/release/vaultaire

Clients put objects and read them back through HAProxy, with the SDK's own retries. Meanwhile each node is killed once with
SIGKILL and started again, and then all are restarted one after another with SIGTERM. No operation may fail, and in the end
every acknowledged object must be there, byte for byte. Needs the lanes' Python (boto3) and haproxy.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

import boto3
from botocore.config import Config

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

from cluster import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, form, free_port, wait

CLIENTS = 8
SIZE_MAX = 64 * 1024
BETWEEN_S = 3
# Enough objects to lose one, and few enough to read all of them in the end.
PAUSE_S = 0.05
RETRIES = 10


def client(url):
    config = Config(
        retries={"mode": "standard", "max_attempts": RETRIES}, connect_timeout=5, read_timeout=60, s3={"addressing_style": "path"}
    )
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION, config=config
    )


def body(key, seed):
    return random.Random(f"{seed}/{key}").randbytes(random.Random(key).randrange(SIZE_MAX))


class Load:
    """What the clients do, and what they were told."""

    def __init__(self, url, seed):
        self.url, self.seed = url, seed
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.written, self.failures, self.reads = {}, [], 0

    def run(self, number):
        s3, count = client(self.url), 0
        rng = random.Random(f"{self.seed}/{number}")
        while not self.stop.is_set():
            key = f"{number}/{count}"
            count += 1
            content = body(key, self.seed)
            time.sleep(PAUSE_S)
            try:
                s3.put_object(Bucket=BUCKET, Key=key, Body=content)
                with self.lock:
                    self.written[key] = hashlib.md5(content).hexdigest()
                    other = rng.choice(list(self.written))
                    digest = self.written[other]
                found = hashlib.md5(s3.get_object(Bucket=BUCKET, Key=other)["Body"].read()).hexdigest()
                if found != digest:
                    raise AssertionError(f"{other} has other bytes than were put")
                with self.lock:
                    self.reads += 1
            except Exception as error:  # noqa: BLE001: whatever a client is told is what is counted
                told = getattr(error, "response", {}).get("ResponseMetadata", {})
                with self.lock:
                    self.failures.append(f"{key}: {error} {told.get('HTTPStatusCode')} {told.get('HTTPHeaders')}")


def balance(folder, nodes):
    """deploy/haproxy.cfg with this machine's ports."""
    with open(os.path.join(ROOT, "deploy", "haproxy.cfg"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    port, written, servers = free_port(), [], iter(nodes)
    for line in lines:
        if line.strip().startswith("bind "):
            line = f"    bind 127.0.0.1:{port}"
        elif line.strip().startswith("server "):
            node = next(servers)
            line = f"    server node-{node.number} {node.host} port {node.http.split(':')[-1]}"
        written.append(line)
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(written) + "\n")
    return port, path


def disturb(nodes, load):
    for node in nodes:
        time.sleep(BETWEEN_S)
        node.kill()
        print(f"killed node {node.number}; {len(load.written)} objects so far", flush=True)
        time.sleep(BETWEEN_S)
        node.start()
    for node in nodes:
        time.sleep(BETWEEN_S)
        node.stop()
        node.start()
        print(f"restarted node {node.number}; {len(load.written)} objects so far", flush=True)
    time.sleep(BETWEEN_S)


def verify(nodes, written, pool):
    """Reads every object, each through another node than the one before it."""
    clients = [client(f"http://{node.host}") for node in nodes]

    def read(place):
        key, digest = written_list[place]
        try:
            found = hashlib.md5(clients[place % len(nodes)].get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest()
        except Exception as error:  # noqa: BLE001
            found = str(error)
        return None if found == digest else f"{key} through node {nodes[place % len(nodes)].number}: {found}"

    written_list = list(written.items())
    return [wrong for wrong in pool.map(read, range(len(written_list))) if wrong]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--bin", required=True)
    arguments.add_argument("--haproxy", default="haproxy")
    arguments.add_argument("--seed", type=int, default=1)
    args = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        nodes = form(os.path.abspath(args.bin), folder, 3, fixed_ports=True)
        stack.callback(lambda: [node.kill() for node in nodes])
        port, path = balance(folder, nodes)
        proxy = subprocess.Popen([args.haproxy, "-db", "-f", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(lambda: (proxy.kill(), proxy.wait()))
        url = f"http://127.0.0.1:{port}"
        def answers():
            try:
                return bool(client(url).list_buckets())
            except Exception:  # noqa: BLE001
                return False
        wait(answers, "the load balancer")
        load = Load(url, args.seed)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(CLIENTS))
        running = [pool.submit(load.run, number) for number in range(CLIENTS)]
        try:
            disturb(nodes, load)
        finally:
            load.stop.set()
        for run in running:
            run.result()
        wrong = verify(nodes, load.written, pool)
    print(f"{len(load.written)} objects put, {load.reads} read meanwhile, {len(load.failures)} operations failed, {len(wrong)} wrong in the end")
    for line in (load.failures + wrong)[:20]:
        print("  " + line)
    return 1 if load.failures or wrong or not load.written else 0


if __name__ == "__main__":
    sys.exit(main())
