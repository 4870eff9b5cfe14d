"""The restic lane: a whole life of a backup repository, with signed chunks and ranged reads of packs."""

import json
import os
import shutil

from harness import MIB, check, file_sha256, payload, same


def run(lane):
    program = os.environ.get("VAULTAIRE_RESTIC") or shutil.which("restic")
    check(program, "restic is not installed")
    lane.env.update(
        RESTIC_REPOSITORY=f"s3:{lane.endpoint.url}/{lane.bucket}/backups/one",
        RESTIC_PASSWORD="lane",
        RESTIC_CACHE_DIR=os.path.join(lane.work_dir, "cache"),
        RESTIC_PROGRESS_FPS="0",
    )
    lane.version = lane.output(program, "version").decode().split()[1]
    trust = ("--cacert", lane.endpoint.ca_file) if lane.endpoint.ca_file else ()

    def restic(*args, **options):
        return lane.output(program, *trust, *args, **options)

    for n in range(20):
        lane.write(f"tree/{n % 4}/ï {n} +.bin", payload(3000 * n, n))
    lane.write("tree/big.bin", payload(64 * MIB))
    whole_life(lane, restic)
    for column in ("copy", "presign", "conditional"):
        lane.not_applicable(column, column, "restic never asks for it")
    lane.not_applicable("odd keys", "odd keys", "restic names its objects itself, by hash")


def compare(lane, folder):
    """Every file of the tree came back below `folder`, byte for byte."""
    tree = lane.path("tree/").rstrip("/")
    for directory, _, names in os.walk(tree):
        for name in names:
            before = os.path.join(directory, name)
            after = folder + before
            check(os.path.exists(after), f"{before} was not restored")
            check(file_sha256(after) == file_sha256(before), f"{before} came back different")


def whole_life(lane, restic):
    with lane.step("put", "init makes the bucket and the repository"):
        restic("init")
    with lane.step("multipart", "backup of 64 MiB and 20 small files"):
        restic("backup", lane.path("tree/"))
    with lane.step("list", "snapshots, list packs, ls"):
        shots = json.loads(restic("snapshots", "--json"))
        check(len(shots) == 1, f"{len(shots)} snapshots")
        check(len(restic("list", "packs").split()) >= 1, "no packs are listed")
        check(len(restic("ls", "latest").decode().splitlines()) > 20, "ls shows too little")
    with lane.step("range", "dump of one file without a cache reads ranges of packs"):
        got = restic("--no-cache", "dump", "latest", lane.path("tree/3/ï 19 +.bin"))
        same(got, payload(3000 * 19, 19), "dumped file")
    with lane.step("get", "restore, compared byte for byte"):
        restic("restore", "latest", "--target", lane.path("restored"))
        compare(lane, lane.path("restored"))
    with lane.step("own job", "check --read-data"):
        restic("check", "--read-data")
    with lane.step("delete many", "second backup, forget the first, prune, check, restore"):
        os.remove(lane.path("tree/big.bin"))
        lane.write("tree/new.bin", payload(2 * MIB, "new"))
        restic("backup", lane.path("tree/"))
        before = len(restic("list", "packs").split())
        restic("forget", "--keep-last", "1", "--prune")
        after = len(restic("list", "packs").split())
        check(after < before, f"prune left {after} of {before} packs")
        restic("check", "--read-data")
        restic("restore", "latest", "--target", lane.path("again"))
        compare(lane, lane.path("again"))
