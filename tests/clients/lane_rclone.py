"""The rclone lane: copy, cat, list, check, link and purge on a remote that is configured by environment."""

import json
import os
import sys

from harness import MIB, ODD_KEYS, REGION, check, payload, same


def run(lane):
    program = os.path.join(os.path.dirname(sys.executable), "rclone")
    lane.env.update(
        RCLONE_CONFIG=lane.write("rclone.conf", b""),
        RCLONE_CONFIG_V_TYPE="s3",
        RCLONE_CONFIG_V_PROVIDER="Other",
        RCLONE_CONFIG_V_ENDPOINT=lane.endpoint.url,
        RCLONE_CONFIG_V_ACCESS_KEY_ID=lane.endpoint.access_key,
        RCLONE_CONFIG_V_SECRET_ACCESS_KEY=lane.endpoint.secret_key,
        RCLONE_CONFIG_V_REGION=REGION,
        RCLONE_RETRIES="1",
        RCLONE_LOW_LEVEL_RETRIES="2",
    )
    lane.version = lane.output(program, "version").decode().splitlines()[0].split()[1].lstrip("v")

    def rclone(*args, **options):
        return lane.output(program, *args, **options)

    root = f"v:{lane.bucket}"
    basics(lane, rclone, root)
    listing(lane, rclone, root)
    odd_keys(lane, rclone, root)
    big(lane, rclone, root)
    rest(lane, rclone, root)


def basics(lane, rclone, root):
    with lane.step("put", "mkdir, copyto, rcat with metadata"):
        rclone("mkdir", root)
        rclone("copyto", lane.write("a.txt", payload(4096)), f"{root}/a.txt", "--metadata", "--metadata-set", "colour=blue")
        rclone("rcat", f"{root}/piped", stdin=payload(300_000))
        said = json.loads(rclone("lsjson", "--metadata", f"{root}/a.txt"))[0]
        check(said["Size"] == 4096 and said["Metadata"].get("colour") == "blue", f"{said}")
    with lane.step("get", "copyto down, cat, hashsum of the server against the bytes"):
        rclone("copyto", f"{root}/a.txt", lane.path("a.back"))
        same(lane.read("a.back"), payload(4096), "a.txt")
        same(rclone("cat", f"{root}/piped"), payload(300_000), "piped")
        stored = rclone("hashsum", "md5", f"{root}/a.txt").split()[0]
        read = rclone("hashsum", "md5", "--download", f"{root}/a.txt").split()[0]
        check(stored == read, f"ETag {stored}, bytes {read}")
    with lane.step("range", "cat --offset --count, --tail"):
        same(rclone("cat", "--offset", "1000", "--count", "77", f"{root}/a.txt"), payload(4096)[1000:1077], "middle")
        same(rclone("cat", "--tail", "50", f"{root}/a.txt"), payload(4096)[-50:], "tail")


def listing(lane, rclone, root):
    with lane.step("list", "lsf by folder and recursive, with --fast-list, v1 and v2"):
        for key in ("a/1", "a/2", "b/1", "top"):
            rclone("rcat", f"{root}/list/{key}", stdin=key.encode())
        for version in ("1", "2"):
            said = rclone("lsf", "--s3-list-version", version, f"{root}/list").decode().split()
            check(sorted(said) == ["a/", "b/", "top"], f"v{version} lsf said {said}")
        said = rclone("lsf", "-R", "--files-only", "--fast-list", "--s3-list-chunk", "2", f"{root}/list").decode().split()
        check(sorted(said) == ["a/1", "a/2", "b/1", "top"], f"lsf -R said {said}")


def odd_keys(lane, rclone, root):
    for name, key in ODD_KEYS.items():
        if name in ("double slash", "leading slash"):
            lane.not_applicable("odd keys", name, "rclone cleans empty path parts away before it sends")
            continue
        with lane.step("odd keys", name):
            body = payload(333, name)
            rclone("rcat", f"{root}/{key}", stdin=body)
            same(rclone("cat", f"{root}/{key}"), body, repr(key))
            folder, leaf = key.rsplit("/", 1)
            listed = [item["Name"] for item in json.loads(rclone("lsjson", f"{root}/{folder}"))]
            check(leaf in listed, f"listed {listed}")
            rclone("deletefile", f"{root}/{key}")


def big(lane, rclone, root):
    parts = ("--s3-upload-cutoff", "8Mi", "--s3-chunk-size", "8Mi")
    with lane.step("multipart", "copyto of 64 MiB up and down, checked by download"):
        path = lane.write("big/64", payload(64 * MIB))
        rclone("copyto", *parts, path, f"{root}/big/64")
        rclone("check", "--download", os.path.dirname(path), f"{root}/big")
        rclone("copyto", "--multi-thread-streams", "4", "--multi-thread-cutoff", "8Mi", f"{root}/big/64", lane.path("big.back"))
        same(lane.read("big.back"), payload(64 * MIB), "64 MiB")
    with lane.step("copy", "server-side copyto, whole and in parts, moveto"):
        rclone("copyto", f"{root}/a.txt", f"{root}/copy/a b.txt")
        same(rclone("cat", f"{root}/copy/a b.txt"), payload(4096), "copy")
        rclone("copyto", "--s3-copy-cutoff", "8Mi", *parts, f"{root}/big/64", f"{root}/copy/64")
        same(rclone("cat", f"{root}/copy/64"), payload(64 * MIB), "copy in parts")
        rclone("moveto", f"{root}/copy/a b.txt", f"{root}/copy/moved")
        said = rclone("lsf", f"{root}/copy").decode().split()
        check(sorted(said) == ["64", "moved"], f"after moveto: {said}")


def rest(lane, rclone, root):
    with lane.step("presign", "link gives a SigV4 URL"):
        url = rclone("link", "--expire", "5m", f"{root}/a.txt").decode().strip()
        status, said, _ = lane.endpoint.fetch(url)
        check(status == 200, f"{status} {said[:300]}")
        same(said, payload(4096), "link")
    lane.not_applicable("conditional", "conditional writes", "rclone has no option for them")
    with lane.step("own job", "sync a tree up, change it, sync again, compare by download"):
        for n in range(12):
            lane.write(f"tree/{n % 3}/ö {n}.bin", payload(900 + n, n))
        tree = lane.path("tree/")
        rclone("sync", tree, f"{root}/tree")
        lane.write("tree/1/ö 1.bin", payload(5000, "changed"))
        os.remove(lane.path("tree/2/ö 2.bin"))
        rclone("sync", tree, f"{root}/tree")
        rclone("check", "--download", tree, f"{root}/tree")
        rclone("copy", f"{root}/tree", lane.path("treeback/"))
        same(lane.read("treeback/1/ö 1.bin"), payload(5000, "changed"), "changed file")
    with lane.step("delete many", "delete a prefix, purge the bucket"):
        rclone("delete", f"{root}/list")
        check(not rclone("lsf", "-R", "--files-only", f"{root}/list", ok=(0, 3)).strip(), "keys are left")
        rclone("purge", root)
        buckets = rclone("lsf", "v:").decode()
        check(lane.bucket not in buckets, f"the bucket is left: {buckets}")
