"""Runs the load tool and the probes, in interleaved rounds, and keeps every single figure."""

import contextlib
import json
import subprocess
import sys

SERVER_CORE = "0"
TOOL_CORE = "1"
BOTH_CORES = f"{SERVER_CORE},{TOOL_CORE}"
TOOL_TIMEOUT_S = 3600
SYNC_PROBE_S = 0.5


class Bench:
    def __init__(self, tool, folder, rounds, seconds):
        self.tool = tool
        self.folder = folder
        self.round_count = rounds
        self.seconds = seconds
        self.servers = {}
        self.probes = []
        self.log = []
        self.tool_core = TOOL_CORE

    def start(self, name, server):
        server.start()
        self.servers[name] = server

    def stop(self):
        for server in self.servers.values():
            server.stop()

    @contextlib.contextmanager
    def both_cores(self):
        """Servers and tool share both cores: what a server can do at the same time shows."""
        self._pin(BOTH_CORES, BOTH_CORES)
        try:
            yield
        finally:
            self._pin(SERVER_CORE, TOOL_CORE)

    def _pin(self, servers, tool):
        self.tool_core = tool
        for server in self.servers.values():
            for pid in server.family():
                subprocess.run(["taskset", "--all-tasks", "--cpu-list", "--pid", servers, str(pid)], capture_output=True, check=True)

    def only(self, *names):
        return {name: server for name, server in self.servers.items() if name in names}

    def rounds(self, servers, measure, probe=None):
        """One figure of each server a round, A B C A B C, with the probe at the start of each round."""
        found = {name: [] for name in servers}
        self.probes = []
        for _ in range(self.round_count):
            if probe:
                self.probes.append(probe())
            for name, server in servers.items():
                found[name].append(measure(server))
        return found

    def probed(self, name):
        """The median of the probes of the latest rounds."""
        values = sorted(probe[name] for probe in self.probes)
        return values[len(values) // 2]

    def closed(self, server, operation, connections, keys, size, prefix, once=False, warmup=0.5):
        if not server.takes(operation):
            return server.fill(prefix, keys, size)
        options = ["--once"] if once else ["--seconds", str(self.seconds), "--warmup", str(warmup)]
        return self._load("closed", server, operation, connections, keys, size, prefix, options)

    def opened(self, server, operation, connections, keys, size, rate, prefix):
        options = ["--rate", str(rate), "--seconds", str(self.seconds), "--warmup", "0.5"]
        return self._load("open", server, operation, connections, keys, size, prefix, options)

    def _load(self, loop, server, operation, connections, keys, size, prefix, options):
        command = [
            loop, "--address", server.address, "--bucket", server.bucket, "--access-key", server.access_key,
            f"--secret-key={server.secret_key}", "--operation", operation, "--connections", str(connections),
            "--keys", str(keys), "--size", str(size), "--prefix", prefix, *options,
        ]
        if self.tool_core == TOOL_CORE:
            command.append("--spin")
        before = server.cpu_seconds()
        found = self._tool(self.tool_core, *command)
        # What a request costs the server's core says more than its rate where the machine is not idle.
        found["cpu_us"] = (server.cpu_seconds() - before) * 1e6 / found["answered"]
        self.log.append({"server": server.name, "loop": loop, "operation": operation, "connections": connections, "size": size, **found})
        if found["errors"]:
            print(f"{server.name}: {found['errors']} errors in {operation}: {found['first_error']}", file=sys.stderr)
        print(f"{server.name:10} {loop:6} {operation:12} {size:>9} B {connections:>3} connections {found['per_second']:>10.1f}/s p50 {found['p50_us']} us p99 {found['p99_us']} us", file=sys.stderr)
        return found

    def sync_probe(self):
        return self._tool(SERVER_CORE, "probe-sync", "--dir", self.folder, "--seconds", str(SYNC_PROBE_S))

    def file_probe(self, size):
        return self._tool(SERVER_CORE, "probe-file", "--dir", self.folder, "--size", str(size))

    def md5_probe(self):
        found = [self._tool(SERVER_CORE, "probe-md5")["md5_bytes_per_second"] for _ in range(self.round_count)]
        return sorted(found)[len(found) // 2]

    def _tool(self, core, *command):
        ran = subprocess.run(["taskset", "-c", core, self.tool, *command], capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
        if ran.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")
        return json.loads(ran.stdout)
