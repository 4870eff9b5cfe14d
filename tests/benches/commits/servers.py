"""The two clusters that are compared, three members each on one machine and one file system."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients"))

import tools
from cluster import BUCKET, form, free_port, wait

MEMBERS = 3
SHARDS = 4
# Leads settle for 20 seconds and then move one by one.
SPREAD_MAX_S = 120
STOP_MAX_S = 30
# Debian's etcd keeps 2 GiB by default, and refuses writes from then on.
QUOTA_BYTES = 8 << 30


def metrics(url):
    """Name with its labels -> value."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def ticks(pid):
    """User and system time of a process in seconds."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        # The name in brackets may hold spaces; the fields after it are counted from there.
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """What all processors of the machine have worked for all processes."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _idle, _iowait, *interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


class Vaultaire:
    name = "vaultaire"

    def __init__(self, binary, folder, shards):
        os.makedirs(folder)
        self.shards = shards
        self.nodes = form(binary, folder, MEMBERS, shards=shards)
        first = self.nodes[0]
        # One copy: nobody should look for bytes that were never written, in order to copy them.
        first.run("bucket", "copies", BUCKET, "1", "--data-dir", first.data_dir)
        status = first.run("status", "--data-dir", first.data_dir)
        self.cluster = status["cluster_id"]
        self.backend = status["backends"][0]["backend_id"]
        self.bucket = first.run("bucket", "list", "--data-dir", first.data_dir)["buckets"][0]["bucket_id"]

    def spread(self):
        """Waits until no node leads more groups than its share, which is how a cluster that was left alone is."""
        share = -(-(self.shards + 1) // MEMBERS)
        deadline = time.monotonic() + SPREAD_MAX_S
        while max(len(member["leads"]) for member in self.nodes[0].members()) > share:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the leads were not spread within {SPREAD_MAX_S} s")
            time.sleep(1)

    def leaders(self):
        """The leader of each shard, in their order."""
        leads = {group: member["node"] for member in self.nodes[0].members() for group in member["leads"]}
        return [leads[str(shard)] for shard in range(1, self.shards + 1)]

    def followers(self):
        """The two nodes that do not lead most shards."""
        leaders = self.leaders()
        return sorted(self.nodes, key=lambda node: leaders.count(str(node.number)))[:2]

    def arguments(self):
        members = self.nodes[0].members()
        played = self.followers()[0]
        incarnation = next(member["incarnation"] for member in members if member["node"] == str(played.number))
        line = [
            "vaultaire", "--data-dir", played.data_dir, "--cluster", self.cluster, "--node", str(played.number), "--incarnation", str(incarnation),
            "--bucket", str(self.bucket), "--backend", str(self.backend),
        ]
        for member in members:
            line += ["--member", f"{member['node']}@{member['address']}"]
        for leader in self.leaders():
            line += ["--leader", leader]
        return line

    def syncs(self):
        """Syncs of each member's journal since its start."""
        return [metrics(f"http://{node.http}/metrics")["vaultaire_journal_syncs"] for node in self.nodes]

    def cpu_seconds(self):
        return sum(ticks(node.process.pid) for node in self.nodes)

    def stop(self):
        for node in self.nodes:
            node.kill()


class Etcd:
    name = "etcd"

    def __init__(self, folder, connections):
        os.makedirs(folder)
        binary = tools.Tools(folder).etcd()
        if not binary:
            raise RuntimeError("etcd is not installed, and there is no apt-get to install it with")
        self.version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
        self.connections = connections
        self.clients = [f"127.0.0.1:{free_port()}" for _ in range(MEMBERS)]
        peers = [f"127.0.0.1:{free_port()}" for _ in range(MEMBERS)]
        together = ",".join(f"m{number}=http://{peer}" for number, peer in enumerate(peers))
        self.processes = []
        for number, (client, peer) in enumerate(zip(self.clients, peers)):
            line = [
                binary, "--name", f"m{number}", "--data-dir", os.path.join(folder, f"m{number}"), "--initial-cluster", together,
                "--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}",
                "--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}",
                "--quota-backend-bytes", str(QUOTA_BYTES), "--log-level", "warn",
            ]
            with open(os.path.join(folder, f"m{number}.log"), "wb") as log:
                self.processes.append(subprocess.Popen(line, stdout=log, stderr=log))
        wait(lambda: self.leader() is not None, "a leader of etcd")

    def leader(self):
        """The client address of the member that leads."""
        try:
            return next((client for client in self.clients if metrics(f"http://{client}/metrics")["etcd_server_is_leader"]), None)
        except OSError:
            return None

    def arguments(self):
        line = ["etcd"]
        for _ in range(self.connections):
            line += ["--member", self.leader()]
        return line

    def syncs(self):
        return [metrics(f"http://{client}/metrics")["etcd_disk_wal_fsync_duration_seconds_count"] for client in self.clients]

    def cpu_seconds(self):
        return sum(ticks(process.pid) for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(STOP_MAX_S)
