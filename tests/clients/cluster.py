"""A cluster of `vaultaire server` processes, formed as an operator forms one, for scripts that kill and restart nodes."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time

ACCESS_KEY, SECRET_KEY, BUCKET, REGION = "VTCLUSTER", "a-secret-for-clusters", "data", "us-east-1"
CATCH_UP_S = 60
STOP_MAX_S = 60


def free_port():
    """A port that is free, and none of those that the system hands out: a node has to find it free after a restart too."""
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no port is free")


class Node:
    """One process and its files; the numbers are the cluster's node ids."""

    def __init__(self, binary, folder, number, fixed_ports, peer_lines="", shards=None):
        self.binary, self.number = binary, number
        # A load balancer has to find a node where it was before.
        s3, http = (free_port(), free_port()) if fixed_ports else (0, 0)
        self.data_dir = os.path.join(folder, f"node-{number}")
        self.config = self.data_dir + ".toml"
        self.peer = f"127.0.0.1:{free_port()}"
        self.process = self.ready = None
        split = f"shards = {shards}\n" if shards else ""
        with open(self.config, "w") as file:
            file.write(
                f'data_dir = "node-{number}"\nnode_name = "node-{number}"\n[s3]\naddr = "127.0.0.1:{s3}"\n[admin]\naddr = "127.0.0.1:0"\n'
                f'[http]\naddr = "127.0.0.1:{http}"\n[peer]\naddr = "{self.peer}"\n{peer_lines}[first]\naccess_key = "{ACCESS_KEY}"\n'
                f'secret_key_file = "secret"\nbucket = "{BUCKET}"\n{split}[backends.hot]\nkind = "disk"\npath = "disk-{number}"\n'
            )

    def run(self, *line):
        ended = subprocess.run([self.binary, "--json", *line], capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"{line}: {ended.stderr}")
        return json.loads(ended.stdout)

    def start(self):
        with open(self.data_dir + ".log", "a") as log:
            line = [self.binary, "--json", "server", "--config", self.config]
            self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        self.host = self.ready["s3_url"].removeprefix("http://")
        self.http = self.ready["http_url"].removeprefix("http://")

    def stop(self):
        """SIGTERM, and waits for the drained end."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_MAX_S)
        self.process.stdout.close()
        if code != 0:
            raise RuntimeError(f"node {self.number} ended with {code}: see {self.data_dir}.log")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def members(self):
        return self.run("cluster", "members", "--data-dir", self.data_dir)["members"]


def form(binary, folder, count, fixed_ports=False, peer_lines="", shards=None):
    """So many voters, all of them members; `peer_lines` are more of every node's [peer] section, `shards` other than
    there are by default."""
    with open(os.path.join(folder, "secret"), "w") as file:
        file.write(SECRET_KEY)
    nodes = [Node(binary, folder, number, fixed_ports, peer_lines, shards) for number in range(1, count + 1)]
    first = nodes[0]
    first.run("cluster", "init", "--config", first.config)
    first.start()
    for node in nodes[1:]:
        wait(lambda: all(member["state"] == "member" for member in first.members()), "the former join")
        token = os.path.join(folder, "token")
        with open(token, "w") as file:
            file.write(first.run("cluster", "token", "--data-dir", first.data_dir)["token"])
        node.run("cluster", "join", "--config", node.config, "--member", first.peer, "--token-file", token)
        node.start()
    wait(lambda: all(member["state"] == "member" for member in first.members()), "the last join")
    return nodes


def wait(holds, what):
    """Waits until something holds."""
    deadline = time.monotonic() + CATCH_UP_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {CATCH_UP_S} s")
        time.sleep(0.05)
