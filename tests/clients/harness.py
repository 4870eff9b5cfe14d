"""What every client lane shares: a server, an isolated environment, recorded steps, odd keys.

A lane is a module `lane_<name>.py` with a function `run(lane)`. A lane does not decide what a failure
means: it records each step, and the runner prints them all.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
COMMAND_TIMEOUT_S = 180
REGION = "us-east-1"
MIB = 1024 * 1024

# The columns of the works-with table, in its order.
COLUMNS = ["put", "get", "range", "list", "odd keys", "multipart", "copy", "delete many", "presign", "conditional", "own job"]


def long_key():
    """A key of exactly 1,024 bytes whose parts each fit a file name."""
    key = "long/" + "/".join(["n" * 100] * 10)
    return key + "m" * (1024 - len(key))


# What the issue asks for, then the characters that URLs, XML and shells treat specially.
ODD_KEYS = {
    "spaces": "odd/a b  c.txt",
    "plus": "odd/a+b.txt",
    "unicode": "odd/ünïcødé-日本語-🗝.txt",
    "double slash": "odd//double.txt",
    "leading slash": "/odd-leading.txt",
    "1,024 bytes": long_key(),
    "percent": "odd/100%25 %2F.txt",
    "query marks": "odd/a?b=c&d#e;f.txt",
    "quotes": "odd/it's \"<&>\".txt",
    "punctuation": "odd/~!@$*()_-=,:[]{}|^.txt",
}


class Failure(Exception):
    """A step did not do what it must."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def same(got, expected, what):
    """Compares bytes exactly, and says how they differ without printing them."""
    if got != expected:
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        raise Failure(
            f"{what}: {len(got)} bytes sha256 {sha256(got)[:16]}, expected {len(expected)} bytes "
            f"sha256 {sha256(expected)[:16]}, first difference at byte {at}"
        )


def payload(size_bytes, seed=0):
    """Bytes that do not compress and do not repeat; the same for the same seed."""
    return random.Random(f"vaultaire-{seed}-{size_bytes}").randbytes(size_bytes)


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


class Endpoint:
    """Where a lane sends its requests, and with which key."""

    def __init__(self, url, access_key, secret_key, ca_file=None):
        self.url = url.rstrip("/")
        self.access_key = access_key
        self.secret_key = secret_key
        self.ca_file = ca_file
        self.is_tls = self.url.startswith("https:")
        self.host = self.url.split("://", 1)[1]

    def fetch(self, url, method="GET", data=None, headers=None):
        """A plain request without any SDK, as a browser would use a presigned URL: (status, body, headers)."""
        context = ssl.create_default_context(cafile=self.ca_file) if self.is_tls else None
        # Said outright, or urllib calls every body a form.
        headers = {"Content-Type": "application/octet-stream", **(headers or {})} if data is not None else headers or {}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=COMMAND_TIMEOUT_S) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)
        except OSError as error:
            raise Failure(f"{method} {url.split('?')[0]}: {error}") from error


class Server:
    """A `vaultaire dev` of our own on free ports, stopped by its process id and by nothing else."""

    def __init__(self, binary, tls, work_dir):
        self.log_path = os.path.join(work_dir, "server.log")
        data_dir = os.path.join(work_dir, "data")
        command = [binary, "dev", "--json", "--data-dir", data_dir]
        for surface in ("s3", "admin", "http"):
            command += [f"--{surface}-addr", "127.0.0.1:0"]
        if tls:
            command.append("--tls")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        try:
            self.ready = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self.endpoint = Endpoint(
            self.ready["s3_url"], self.ready["access_key"], self.ready["secret_key"], self.ready.get("ca_file")
        )

    def _wait_until_ready(self):
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(READY_TIMEOUT_S)
        if not lines or not lines[0].strip():
            raise Failure(f"the server printed no ready line within {READY_TIMEOUT_S} s:\n{self.log_tail()}")
        # Later lines are drained, or a full pipe would stop the server.
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        return json.loads(lines[0])

    def log_tail(self, lines=30):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def stop(self):
        """Asks to drain and stop; kills only what does not. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        return self.process.returncode


class Lane:
    """One client against one endpoint: runs commands in isolation and records what each step did."""

    def __init__(self, name, endpoint, work_dir):
        self.name = name
        self.endpoint = endpoint
        self.work_dir = work_dir
        self.steps = []
        self.version = "?"
        # A name of its own for each run, so that a server that outlives the run can be used again.
        self.bucket = f"lane-{name}-{'tls' if endpoint.is_tls else 'http'}-{os.urandom(3).hex()}"
        self.home = os.path.join(work_dir, "home")
        os.makedirs(self.home, exist_ok=True)
        self.env = self._environment()

    def _environment(self):
        """The lane's own home and keys: no setting of the person who runs it may leak in."""
        keep = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        env = {key: os.environ[key] for key in keep if key in os.environ}
        env.update(
            HOME=self.home,
            LC_ALL="C.UTF-8",
            AWS_ACCESS_KEY_ID=self.endpoint.access_key,
            AWS_SECRET_ACCESS_KEY=self.endpoint.secret_key,
            AWS_DEFAULT_REGION=REGION,
            AWS_REGION=REGION,
            AWS_EC2_METADATA_DISABLED="true",
            AWS_PAGER="",
            PYTHONWARNINGS="ignore",
        )
        if self.endpoint.ca_file:
            env.update(
                AWS_CA_BUNDLE=self.endpoint.ca_file,
                SSL_CERT_FILE=self.endpoint.ca_file,
                NODE_EXTRA_CA_CERTS=self.endpoint.ca_file,
                RCLONE_CA_CERT=self.endpoint.ca_file,
            )
        return env

    def sdk(self):
        """A second, independent pair of eyes for lanes whose client cannot make buckets or read raw bytes."""
        import boto3  # Only some lanes need it, and the import takes a second.

        return boto3.client(
            "s3", endpoint_url=self.endpoint.url, region_name=REGION, verify=self.endpoint.ca_file or None,
            aws_access_key_id=self.endpoint.access_key, aws_secret_access_key=self.endpoint.secret_key,
        )

    def path(self, name):
        """A path in the lane's own folder, with its parents made."""
        path = os.path.join(self.work_dir, "files", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, data):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def command(self, *args, stdin=b"", ok=(0,), env=None):
        """Runs a client program; a wrong exit code fails the step with what the program said."""
        done = subprocess.run(
            [str(arg) for arg in args],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **(env or {})},
            cwd=self.work_dir,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode not in ok:
            shown = " ".join(str(arg)[:120] for arg in args)
            said = (done.stderr + done.stdout[-800:]).decode("utf-8", "replace").strip()[-1500:]
            raise Failure(f"exit {done.returncode} of `{shown}`: {said}")
        return done

    def output(self, *args, **options):
        return self.command(*args, **options).stdout

    @contextlib.contextmanager
    def step(self, column, name):
        started = time.monotonic()
        error = None
        try:
            yield
        except Failure as failure:
            error = str(failure)
        except subprocess.TimeoutExpired as timeout:
            error = f"no end within {timeout.timeout} s: {timeout.cmd}"
        except Exception as raised:  # A client library raises whatever it likes; each is a failed step, not the end.
            ours = [f for f in traceback.extract_tb(raised.__traceback__) if os.path.dirname(f.filename) == HERE]
            place = f"{os.path.basename(ours[-1].filename)}:{ours[-1].lineno}" if ours else "?"
            error = f"{type(raised).__name__} at {place}: {raised}"[:1500]
        self.record(column, name, "fail" if error else "pass", error, time.monotonic() - started)

    def not_applicable(self, column, name, reason):
        """The client itself cannot do this: said as such, never counted as a pass."""
        self.record(column, name, "n/a", reason, 0.0)

    def record(self, column, name, outcome, detail, seconds):
        assert column in COLUMNS, column
        self.steps.append(
            {"column": column, "step": name, "outcome": outcome, "detail": detail, "seconds": round(seconds, 3)}
        )
        mark = {"pass": "ok  ", "fail": "FAIL", "n/a": "n/a "}[outcome]
        print(f"    {mark} {column}: {name} ({seconds:.2f} s)" + (f": {detail}" if detail else ""), flush=True)

    def folded(self, *args, env=None):
        """Runs a lane written in another language: it prints one JSON step on each line of stdout."""
        done = self.command(*args, ok=(0, 1), env={**self.lane_variables(), **(env or {})})
        steps = failed = 0
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            if line.startswith('{"version"'):
                self.version = json.loads(line)["version"]
            elif line.startswith('{"column"'):
                step = json.loads(line)
                self.record(step["column"], step["step"], step["outcome"], step.get("detail"), step.get("seconds", 0.0))
                steps += 1
                failed += step["outcome"] == "fail"
        # Exit 1 with a failed step says nothing new; any other end cut the lane short.
        if steps == 0 or done.returncode != min(failed, 1):
            said = done.stderr.decode("utf-8", "replace")[-1500:]
            self.record("own job", "lane ran to its end", "fail", f"exit {done.returncode}: {said}", 0.0)

    def lane_variables(self):
        return {
            "VAULTAIRE_LANE_ENDPOINT": self.endpoint.url,
            "VAULTAIRE_LANE_BUCKET": self.bucket,
            "VAULTAIRE_LANE_CA_FILE": self.endpoint.ca_file or "",
            "VAULTAIRE_LANE_ODD_KEYS": json.dumps(ODD_KEYS),
            "VAULTAIRE_LANE_PYTHON": sys.executable,
            "VAULTAIRE_LANE_FOLDER": HERE,
        }


@contextlib.contextmanager
def folder():
    """A folder of this run, gone afterwards whatever happens."""
    path = tempfile.mkdtemp(prefix="vaultaire-lane-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
