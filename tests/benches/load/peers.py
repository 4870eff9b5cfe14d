"""The servers that are compared, each in a process of its own on core 0, and how the peers are installed."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

from measure import SERVER_CORE

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients"))

import tools as installer

# The release that matches the s3s that the router is built on.
S3S_FS = "0.14.1"
READY_MAX_S = 60
STOP_MAX_S = 60
BUILD_MAX_S = 3600
LARGE_BYTES = 1024 * 1024


def programs(root, binary, tool):
    """The binaries of this workspace as they are shipped (profile `dist`), built unless they were named."""
    target = installer.target_dir(root)
    if not (binary and tool):
        wanted = ["-p", "vaultaire", "-p", "vaultaire-tests", "--bin", "vaultaire", "--bin", "vaultaire-load"]
        said(["cargo", "build", "--profile", "dist", "--locked", *wanted], cwd=root, env={**os.environ, "CARGO_TARGET_DIR": target})
    built = os.path.join(target, "dist")
    return binary or os.path.join(built, "vaultaire"), tool or os.path.join(built, "vaultaire-load")


def said(command, **options):
    ran = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_MAX_S, check=False, **options)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()[-400:]}")
    return ran.stdout


class Server:
    """A process on the servers' core; `bucket` and the keys are what the tool signs with."""

    access_key, secret_key, bucket = "key", "secret", "load"

    def __init__(self, folder):
        self.folder = folder
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def spawn(self, command, env=None, **options):
        log = open(os.path.join(self.folder, "log"), "ab")
        with log:
            self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], stderr=log, env={**os.environ, **(env or {})}, **options)

    def wait_for_port(self):
        host, port = self.address.split(":")
        deadline = time.monotonic() + READY_MAX_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not start: see {self.folder}/log")

    def takes(self, _operation):
        return True

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def drop_caches(self):
        """Has the kernel forget the pages of every large file of this server: the next read is the disk's."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.getsize(path) >= LARGE_BYTES:
                    with open(path, "rb") as file:
                        os.fsync(file.fileno())
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def status(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024

    def family(self):
        """The process and its children, which are nginx's workers."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="utf-8") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def cpu_seconds(self):
        """User and system time of the family."""
        ticks = 0
        for pid in self.family():
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                # The name in brackets may hold spaces; the fields after it are counted from there.
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self):
        return self.status("VmRSS")

    def resident_peak(self):
        return self.status("VmHWM")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Vaultaire(Server):
    name = "vaultaire"

    def __init__(self, binary, folder):
        super().__init__(folder)
        self.binary = binary
        self.data_dir = os.path.join(folder, "data")

    def start(self):
        began = time.monotonic()
        addresses = [word for surface in ("s3", "admin", "http") for word in (f"--{surface}-addr", "127.0.0.1:0")]
        command = [self.binary, "dev", "--json", "--data-dir", self.data_dir, *addresses]
        self.spawn(command, env={"VAULTAIRE_LOG": "warn"}, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            raise RuntimeError(f"vaultaire did not start: see {self.folder}/log")
        ready = json.loads(line)
        self.address = ready["s3_url"].removeprefix("http://").rstrip("/")
        self.access_key, self.secret_key, self.bucket = ready["access_key"], ready["secret_key"], ready["bucket"]
        return time.monotonic() - began

    def restart(self):
        """Seconds from the start of the process to its ready line."""
        self.stop()
        return self.start()

    def syncs(self):
        status = json.loads(said([self.binary, "status", "--json", "--data-dir", self.data_dir]))
        return status["journal"]["syncs"]


class S3sFs(Server):
    name = "s3s-fs"

    def start(self):
        root = os.path.join(installer.cache_dir() or self.folder, "tools", f"s3s-fs-{S3S_FS}")
        binary = os.path.join(root, "bin", "s3s-fs")
        if not os.path.exists(binary):
            said(["cargo", "install", "s3s-fs", "--version", S3S_FS, "--locked", "--features", "binary", "--root", root])
        os.makedirs(os.path.join(self.folder, "root", self.bucket), exist_ok=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        keys = ["--access-key", self.access_key, "--secret-key", self.secret_key]
        command = [binary, "--host", "127.0.0.1", "--port", str(port), *keys, os.path.join(self.folder, "root")]
        self.spawn(command, env={"RUST_LOG": "error"}, stdout=subprocess.DEVNULL)
        self.wait_for_port()


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 100000000;
  open_file_cache off;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/root; }}
}}
"""


class Nginx(Server):
    """Static files: no signature, no checksum, no metadata. The bound of what one core can serve."""

    name = "nginx"

    def start(self):
        binary = shutil.which("nginx") or self._install()
        os.makedirs(os.path.join(self.folder, "root", self.bucket), exist_ok=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        # Workers of a master started by root change their user, who may not read a private folder.
        user = "user root;" if os.geteuid() == 0 else ""
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(user + NGINX.format(folder=self.folder, port=port))
        self.spawn([binary, "-c", path, "-e", os.path.join(self.folder, "error.log")], stdout=subprocess.DEVNULL)
        self.wait_for_port()

    def _install(self):
        if not shutil.which("apt-get"):
            raise RuntimeError("nginx is not installed, and there is no apt-get to install it with")
        if installer.is_root():
            installer.apt_install("nginx-light")
            return shutil.which("nginx")
        folder = os.path.join(installer.cache_dir() or self.folder, "tools", "nginx")
        os.makedirs(folder, exist_ok=True)
        said(["apt-get", "--quiet", "download", "nginx-light"], cwd=folder)
        package = next(name for name in os.listdir(folder) if name.endswith(".deb"))
        said(["dpkg", "-x", os.path.join(folder, package), folder])
        return os.path.join(folder, "usr", "sbin", "nginx")

    def takes(self, operation):
        return operation == "get"

    def fill(self, prefix, keys, size):
        """Static files are put into the folder by hand, named as the tool names keys."""
        body = os.urandom(size)
        for number in range(keys):
            path = os.path.join(self.folder, "root", self.bucket, f"{prefix}{number // 1000:04}", f"{number % 1000:06}")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(body)
        return {}
