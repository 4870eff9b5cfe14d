"""The aws-cli lane: `aws s3` as people type it, and `aws s3api` where only that can say it."""

import json
import os
import sys
import time

from harness import MIB, ODD_KEYS, check, file_sha256, payload, same


def run(lane):
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    said = lane.command(aws, "--version")
    lane.version = (said.stdout + said.stderr).decode().split()[0].split("/")[1]
    cli = Cli(lane, aws)
    basics(lane, cli)
    listing(lane, cli)
    odd_keys(lane, cli)
    multipart(lane, cli)
    copies(lane, cli)
    presigned(lane, cli)
    conditional(lane, cli)
    sync(lane, cli)
    deletes(lane, cli)


class Cli:
    """The program with its endpoint: `s3` for the commands of files, `api` for those of the protocol."""

    def __init__(self, lane, program):
        self.lane = lane
        self.program = program

    def s3(self, *args, **options):
        return self.lane.output(self.program, "--endpoint-url", self.lane.endpoint.url, "s3", *args, **options)

    def api(self, *args, **options):
        said = self.lane.output(self.program, "--endpoint-url", self.lane.endpoint.url, "--output", "json", "s3api", *args, **options)
        return json.loads(said) if said.strip() else {}

    def refused(self, code, *args):
        """The command must fail and name this error code."""
        args = (self.program, "--endpoint-url", self.lane.endpoint.url, "s3api", *args)
        done = self.lane.command(*args, ok=(0, 252, 254, 255))
        check(done.returncode != 0, f"succeeded, expected {code}")
        check(code.encode() in done.stderr, f"expected {code}: {done.stderr.decode()[:400]}")


def basics(lane, cli):
    url = f"s3://{lane.bucket}"
    with lane.step("put", "mb, cp up with metadata, cp from a pipe"):
        cli.s3("mb", url)
        check(lane.bucket.encode() in cli.s3("ls"), "the bucket is not listed")
        path = lane.write("a.txt", payload(4096))
        cli.s3("cp", path, f"{url}/a.txt", "--metadata", "colour=blue", "--content-type", "text/lane")
        cli.s3("cp", "-", f"{url}/piped", stdin=payload(100_000))
        head = cli.api("head-object", "--bucket", lane.bucket, "--key", "a.txt")
        check(head["Metadata"] == {"colour": "blue"} and head["ContentType"] == "text/lane", f"{head}")
    with lane.step("get", "cp down to a file and to a pipe"):
        cli.s3("cp", f"{url}/a.txt", lane.path("a.back"))
        same(lane.read("a.back"), payload(4096), "a.txt")
        same(cli.s3("cp", f"{url}/piped", "-"), payload(100_000), "piped")
    with lane.step("range", "get-object --range"):
        for spec, expected in {"bytes=10-19": payload(4096)[10:20], "bytes=-7": payload(4096)[-7:]}.items():
            cli.api("get-object", "--bucket", lane.bucket, "--key", "a.txt", "--range", spec, lane.path("part"))
            same(lane.read("part"), expected, spec)


def listing(lane, cli):
    with lane.step("list", "ls with prefixes, recursive, pages"):
        for key in ("list/a/1", "list/a/2", "list/b/1", "list/top"):
            cli.api("put-object", "--bucket", lane.bucket, "--key", key)
        lines = cli.s3("ls", f"s3://{lane.bucket}/list/").decode().splitlines()
        check([line.split()[-1] for line in lines] == ["a/", "b/", "top"], f"ls said {lines}")
        lines = cli.s3("ls", "--recursive", "--page-size", "2", f"s3://{lane.bucket}/list/").decode().splitlines()
        found = [line.split()[-1] for line in lines]
        check(found == ["list/a/1", "list/a/2", "list/b/1", "list/top"], f"recursive ls said {lines}")


def odd_keys(lane, cli):
    for name, key in ODD_KEYS.items():
        with lane.step("odd keys", name):
            body = payload(333, name)
            path = lane.write("odd", body)
            cli.s3("cp", path, f"s3://{lane.bucket}/{key}")
            same(cli.s3("cp", f"s3://{lane.bucket}/{key}", "-"), body, repr(key))
            page = cli.api("list-objects-v2", "--bucket", lane.bucket, "--prefix", key)
            check([item["Key"] for item in page.get("Contents", [])] == [key], f"listed {page}")
            # They go with the rest of the bucket, in `rm --recursive`.


def multipart(lane, cli):
    with lane.step("multipart", "cp of 64 MiB up and down"):
        path = lane.write("big", payload(64 * MIB))
        cli.s3("cp", path, f"s3://{lane.bucket}/big")
        etag = cli.api("head-object", "--bucket", lane.bucket, "--key", "big")["ETag"]
        check(etag.endswith('-8"'), f"ETag {etag} does not count 8 parts")
        cli.s3("cp", f"s3://{lane.bucket}/big", lane.path("big.back"))
        check(file_sha256(lane.path("big.back")) == file_sha256(path), "64 MiB came back different")


def copies(lane, cli):
    with lane.step("copy", "cp and mv between keys, 64 MiB in parts"):
        url = f"s3://{lane.bucket}"
        cli.s3("cp", f"{url}/a.txt", f"{url}/copy/a b.txt")
        same(cli.s3("cp", f"{url}/copy/a b.txt", "-"), payload(4096), "copy")
        head = cli.api("head-object", "--bucket", lane.bucket, "--key", "copy/a b.txt")
        check(head["Metadata"] == {"colour": "blue"}, f"metadata {head['Metadata']}")
        cli.s3("mv", f"{url}/copy/a b.txt", f"{url}/copy/moved")
        cli.refused("404", "head-object", "--bucket", lane.bucket, "--key", "copy/a b.txt")
        cli.s3("cp", f"{url}/big", f"{url}/copy/big")
        cli.s3("cp", f"{url}/copy/big", lane.path("big.copy"))
        check(file_sha256(lane.path("big.copy")) == file_sha256(lane.path("big")), "the 64 MiB copy differs")


def presigned(lane, cli):
    with lane.step("presign", "the default SigV2 URL works, or the refusal names s3v4"):
        status, said, _ = lane.endpoint.fetch(cli.s3("presign", f"s3://{lane.bucket}/a.txt").decode().strip())
        works = status == 200 and said == payload(4096)
        check(works or (status in (400, 403) and b"s3v4" in said), f"{status} {said[:300]}")
    with lane.step("presign", "SigV4 after `aws configure set default.s3.signature_version s3v4`"):
        lane.command(cli.program, "configure", "set", "default.s3.signature_version", "s3v4")
        url = cli.s3("presign", f"s3://{lane.bucket}/a.txt", "--expires-in", "60").decode().strip()
        check("X-Amz-Signature" in url, f"no SigV4 URL: {url}")
        status, said, _ = lane.endpoint.fetch(url)
        check(status == 200, f"{status} {said[:300]}")
        same(said, payload(4096), "presigned GET")


def conditional(lane, cli):
    with lane.step("conditional", "put-object --if-none-match and --if-match"):
        put = ("put-object", "--bucket", lane.bucket, "--key", "cond", "--body", lane.write("cond", b"one"))
        etag = cli.api(*put, "--if-none-match", "*")["ETag"]
        cli.refused("PreconditionFailed", *put, "--if-none-match", "*")
        cli.api(*put, "--if-match", etag)
        cli.refused("PreconditionFailed", *put, "--if-match", '"00000000000000000000000000000000"')


def sync(lane, cli):
    with lane.step("own job", "sync a folder up and down, --delete"):
        files = {f"tree/{n % 3}/ä {n}.bin": payload(1000 + n, n) for n in range(12)}
        for name, body in files.items():
            # An hour old, since a file of this second looks newer than its own copy.
            os.utime(lane.write(name, body), (time.time() - 3600,) * 2)
        url = f"s3://{lane.bucket}/tree"
        cli.s3("sync", lane.path("tree/"), url)
        again = cli.s3("sync", lane.path("tree/"), url)
        check(not again.strip(), f"a second sync copied {again.decode()[:300]}")
        cli.s3("sync", url, lane.path("back/"))
        for name, body in files.items():
            same(lane.read(name.replace("tree/", "back/", 1)), body, name)
        os.remove(lane.path("tree/0/ä 0.bin"))
        cli.s3("sync", "--delete", lane.path("tree/"), url)
        left = cli.api("list-objects-v2", "--bucket", lane.bucket, "--prefix", "tree/")["Contents"]
        check(len(left) == 11, f"{len(left)} keys are left, expected 11")


def deletes(lane, cli):
    with lane.step("delete many", "delete-objects, rm --recursive, rb"):
        names = {"Objects": [{"Key": "list/a/1"}, {"Key": "list/a/2"}, {"Key": "missing"}]}
        said = cli.api("delete-objects", "--bucket", lane.bucket, "--delete", json.dumps(names))
        check(len(said["Deleted"]) == 3, f"{said}")
        cli.refused("404", "head-object", "--bucket", lane.bucket, "--key", "list/a/1")
        cli.s3("rm", "--recursive", "--quiet", f"s3://{lane.bucket}")
        check(not cli.s3("ls", "--recursive", f"s3://{lane.bucket}", ok=(0, 1)).strip(), "keys are left")
        cli.s3("rb", f"s3://{lane.bucket}")
