"""Installs the pinned client programs of the lanes into a cache, without root where that is possible.

Everything is pinned but restic: no package index carries it, so it is the distribution's, or the one that is installed
already. Its lane asks it for its version, and that is the one in the table.

A tool that cannot be installed is a reason, not an exception: its lanes are skipped and say why.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PIN_FILES = ["requirements.txt", "package.json", "package-lock.json"]
INSTALL_TIMEOUT_S = 900


def cache_dir():
    """The folder of this project in the user's cache, or nothing when it cannot be made."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "vaultaire")
    with contextlib.suppress(OSError):
        os.makedirs(path, exist_ok=True)
        if os.access(path, os.W_OK):
            return path
    return None


def target_dir(root):
    """Where every script of this repository has cargo build, so that nothing is built twice."""
    if os.environ.get("CARGO_TARGET_DIR"):
        return os.path.abspath(os.environ["CARGO_TARGET_DIR"])
    cache = cache_dir()
    return os.path.join(cache, "target") if cache else os.path.join(root, "target")


def pins(paths):
    """The same pins, the same interpreter: the same folder."""
    digest = hashlib.sha256(sys.version.encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def locked(folder):
    """Two runs at once install once."""
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Tools:
    """Where each tool is, or why it is not there."""

    def __init__(self, fallback_dir):
        self.folder = os.path.join(cache_dir() or fallback_dir, "tools", pins(os.path.join(HERE, name) for name in PIN_FILES))
        os.makedirs(self.folder, exist_ok=True)
        self.python = os.path.join(self.folder, "venv", "bin", "python")
        self.node_modules = os.path.join(self.folder, "js", "node_modules")
        self.restic = None
        self.missing = {}

    def install(self):
        with locked(self.folder):
            for name, install in (("python", self._python), ("node", self._node), ("restic", self._restic)):
                try:
                    install()
                except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                    self.missing[name] = str(error)

    def reason(self, lane):
        """Why this lane cannot run, or nothing."""
        needs = {"aws_sdk_js": "node", "restic": "restic"}
        return self.missing.get("python") or self.missing.get(needs.get(lane, "python"))

    def environment(self):
        return {
            "VAULTAIRE_NODE_MODULES": self.node_modules,
            "VAULTAIRE_RESTIC": self.restic or "",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _once(self, name, path, install):
        once(self.folder, name, path, install)

    def _python(self):
        install_python(self.folder, os.path.join(HERE, "requirements.txt"))

    def _node(self):
        folder = os.path.dirname(self.node_modules)

        def install():
            if not shutil.which("npm"):
                raise RuntimeError("npm is not installed: install Node.js")
            os.makedirs(folder, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(HERE, name), folder)
            said(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=folder)

        self._once("node", self.node_modules, install)

    def _restic(self):
        self.restic = shutil.which("restic")
        if self.restic:
            return
        if not shutil.which("apt-get"):
            raise RuntimeError("restic is not installed, and there is no apt-get to install it with")
        if is_root():
            apt_install("restic")
            self.restic = shutil.which("restic")
        else:
            self.restic = self._unpacked("restic")

    def haproxy(self):
        """Where HAProxy is: the distribution's, installed where it is missing."""
        found = shutil.which("haproxy")
        if found or not shutil.which("apt-get"):
            return found
        if is_root():
            apt_install("haproxy")
            return shutil.which("haproxy")
        return self._unpacked("haproxy", "sbin")

    def etcd(self):
        """Where etcd is: the distribution's. Its package would start it as a service, so it is only unpacked."""
        found = shutil.which("etcd")
        if found or not shutil.which("apt-get"):
            return found
        return self._unpacked("etcd-server", program="etcd")

    def _unpacked(self, package, programs="bin", program=None):
        """A Debian package taken apart in the cache: no root, nothing outside this folder."""
        folder = os.path.join(self.folder, f"debian-{package}")
        path = os.path.join(folder, "root", "usr", programs, program or package)

        def install():
            shutil.rmtree(folder, ignore_errors=True)
            lists, archives = os.path.join(folder, "lists"), os.path.join(folder, "archives")
            for made in (lists, archives):
                os.makedirs(os.path.join(made, "partial"))
            own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={archives}", "-o", "Debug::NoLocking=1"]
            try:
                said(["apt-get", "--quiet", "download", package], cwd=folder)
            except RuntimeError:
                # The machine's own lists are missing or stale, and only root may renew those.
                said(["apt-get", "--quiet", *own, "update"])
                said(["apt-get", "--quiet", *own, "download", package], cwd=folder)
            found = [name for name in os.listdir(folder) if name.endswith(".deb")]
            said(["dpkg", "-x", os.path.join(folder, found[0]), os.path.join(folder, "root")])

        self._once(package, path, install)
        return path


def once(folder, name, path, install):
    """Runs `install` unless an earlier run finished it; a half-made installation is made anew."""
    marker = os.path.join(folder, f"{name}.complete")
    if os.path.exists(marker) and os.path.exists(path):
        return
    install()
    with open(marker, "w", encoding="utf-8"):
        pass


def install_python(folder, requirements):
    """An interpreter with what these requirements name, in a virtual environment."""
    venv = os.path.join(folder, "venv")
    python = os.path.join(venv, "bin", "python")

    def install():
        shutil.rmtree(venv, ignore_errors=True)
        wanted = ["install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        try:
            said([sys.executable, "-m", "venv", venv])
            said([python, "-m", "pip", *wanted])
        except RuntimeError:
            # Debian ships venv apart; pip can fill an environment that has no pip of its own.
            shutil.rmtree(venv, ignore_errors=True)
            if is_root() and shutil.which("apt-get"):
                apt_install("python3-venv", "python3-pip")
                said([sys.executable, "-m", "venv", venv])
                said([python, "-m", "pip", *wanted])
            else:
                said([sys.executable, "-m", "venv", "--without-pip", venv])
                said([sys.executable, "-m", "pip", "--python", python, *wanted])

    once(folder, "python", python, install)
    return python


def python_of(requirements, fallback_dir):
    """An interpreter of its own for a bench that needs what no lane does."""
    folder = os.path.join(cache_dir() or fallback_dir, "tools", pins([requirements]))
    os.makedirs(folder, exist_ok=True)
    with locked(folder):
        return install_python(folder, requirements)


def fault_tools():
    """Installs what the fault harness uses, where that is possible: why something is missing, or nothing."""
    programs = {"ip": "iproute2", "nft": "nftables", "faketime": "faketime"}
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    packages = [package for program, package in programs.items() if not shutil.which(program, path=path)]
    if not packages:
        return None
    if not is_root() or not shutil.which("apt-get"):
        return f"{', '.join(packages)} not installed, and only root can"
    try:
        apt_install(*packages)
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        return str(error)
    return None


def is_root():
    return os.geteuid() == 0


def apt_install(*packages):
    install = ["apt-get", "--quiet", "install", "--yes", "--no-install-recommends", *packages]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        said(install, env=quiet)
    except RuntimeError:
        said(["apt-get", "--quiet", "update"], env=quiet)
        said(install, env=quiet)


def said(command, cwd=None, env=None):
    """Runs one installer; its last words become the reason when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=INSTALL_TIMEOUT_S, check=False,
    )
    if done.returncode != 0:
        words = done.stdout.decode("utf-8", "replace").strip()[-600:]
        raise RuntimeError(f"`{' '.join(command[:6])}` ended with {done.returncode}: {words}")
