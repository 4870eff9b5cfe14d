"""The two clusters that are compared, three nodes each on this machine and one file system, with three copies of every object."""

import os
import re
import secrets
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BENCHES = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(os.path.dirname(BENCHES), "clients"), os.path.join(BENCHES, "commits"), os.path.join(BENCHES, "load")]

import tools as installer
from cluster import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, form, free_port, wait
from peers import said
from servers import ticks

GARAGE = "2.5.0"
NODES = COPIES = 3
# Leads settle for 20 seconds and then move one by one.
SPREAD_MAX_S = 120
STOP_MAX_S = 30


class Vaultaire:
    name = "vaultaire"
    access_key, secret_key = ACCESS_KEY, SECRET_KEY

    def __init__(self, binary, folder, shards):
        os.makedirs(folder)
        self.nodes = form(binary, folder, NODES, shards=shards)
        first = self.nodes[0]
        first.run("bucket", "copies", BUCKET, str(COPIES), "--data-dir", first.data_dir)
        self.hosts = [node.host for node in self.nodes]

    def settle(self):
        """Waits until no node leads more groups than its share, which is how a cluster that was left alone is."""
        deadline = time.monotonic() + SPREAD_MAX_S
        while max(len(member["leads"]) for member in self.nodes[0].members()) > 2:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the leads were not spread within {SPREAD_MAX_S} s")
            time.sleep(1)

    def cpu_seconds(self):
        return sum(ticks(node.process.pid) for node in self.nodes)

    def stop(self):
        for node in self.nodes:
            node.kill()


# What is not named here is as Garage has it by default: a write is answered when a majority has it, and is not synced.
CONFIG = """
metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "lmdb"
replication_factor = {copies}
rpc_bind_addr = "{rpc}"
rpc_public_addr = "{rpc}"
rpc_secret = "{secret}"
[s3_api]
s3_region = "{region}"
api_bind_addr = "{s3}"
"""


class Garage:
    name = "garage"

    def __init__(self, binary, folder):
        self.binary = binary
        # Garage takes only keys of its own form.
        self.access_key, self.secret_key = f"GK{secrets.token_hex(12)}", secrets.token_hex(32)
        self.hosts = [f"127.0.0.1:{free_port()}" for _ in range(NODES)]
        self.configs, self.processes = [], []
        shared = secrets.token_hex(32)
        for number, host in enumerate(self.hosts):
            own = os.path.join(folder, str(number))
            os.makedirs(own)
            config = os.path.join(own, "garage.toml")
            with open(os.open(config, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                rpc = f"127.0.0.1:{free_port()}"
                file.write(CONFIG.format(folder=own, copies=COPIES, rpc=rpc, secret=shared, region=REGION, s3=host))
            self.configs.append(config)
            with open(os.path.join(own, "log"), "wb") as log:
                quiet = {**os.environ, "RUST_LOG": "garage=warn"}
                self.processes.append(subprocess.Popen([binary, "-c", config, "server"], stdout=log, stderr=log, env=quiet))
        self._lay_out()

    def _run(self, *line, config=0):
        return said([self.binary, "-c", self.configs[config], *line])

    def _runs(self, *line):
        """Whether a command succeeds by now: nodes need a moment until they hear each other."""
        try:
            self._run(*line)
        except RuntimeError:
            return False
        return True

    def _lay_out(self):
        wait(lambda: self._runs("status"), "the first node of Garage")
        names = [self._run("node", "id", "--quiet", config=number).strip() for number in range(NODES)]
        for name in names[1:]:
            wait(lambda: self._runs("node", "connect", name), "another node of Garage")
        for name in names:
            self._run("layout", "assign", "-z", "here", "-c", "10GB", name.partition("@")[0])
        self._run("layout", "apply", "--version", "1")
        wait(lambda: self._runs("bucket", "create", BUCKET), "the layout of Garage")
        self._run("key", "import", "--yes", self.access_key, self.secret_key)
        self._run("bucket", "allow", "--read", "--write", BUCKET, "--key", self.access_key)

    def version(self):
        return re.search(r"\d+\.\d+\.\d+", said([self.binary, "--version"])).group()

    def cpu_seconds(self):
        return sum(ticks(process.pid) for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(STOP_MAX_S)


def garage_binary(folder):
    """Garage as its own package has it, built once into the cache."""
    root = os.path.join(installer.cache_dir() or folder, "tools", f"garage-{GARAGE}")
    binary = os.path.join(root, "bin", "garage")
    if not os.path.exists(binary):
        said(["cargo", "install", "garage", "--version", GARAGE, "--locked", "--root", root])
    return binary
