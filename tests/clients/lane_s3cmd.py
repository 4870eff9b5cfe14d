"""The s3cmd lane: a client of the first hour, with a configuration file and its own signing."""

import os
import sys

from harness import MIB, ODD_KEYS, REGION, check, file_sha256, payload, same

CONFIG = """[default]
access_key = {access_key}
secret_key = {secret_key}
host_base = {host}
host_bucket = {host}
bucket_location = {region}
use_https = {https}
ca_certs_file = {ca_file}
signature_v2 = False
progress_meter = False
multipart_chunk_size_mb = 8
"""


def run(lane):
    endpoint = lane.endpoint
    config = CONFIG.format(
        access_key=endpoint.access_key, secret_key=endpoint.secret_key, host=endpoint.host, region=REGION,
        https=endpoint.is_tls, ca_file=endpoint.ca_file or "",
    )
    program = (sys.executable, os.path.join(os.path.dirname(sys.executable), "s3cmd"), "-c", lane.write("s3cfg", config.encode()))
    lane.version = lane.output(*program, "--version").decode().split()[-1]

    def s3cmd(*args, **options):
        return lane.output(*program, *args, **options)

    url = f"s3://{lane.bucket}"
    basics(lane, s3cmd, url)
    odd_keys(lane, s3cmd, url)
    big(lane, s3cmd, url)
    rest(lane, s3cmd, url)


def basics(lane, s3cmd, url):
    with lane.step("put", "mb, put with a header, info"):
        s3cmd("mb", url)
        check(lane.bucket in s3cmd("ls").decode(), "the bucket is not listed")
        s3cmd("put", "--add-header", "x-amz-meta-colour: blue", "--mime-type", "text/lane", lane.write("a.txt", payload(4096)), f"{url}/a.txt")
        said = s3cmd("info", f"{url}/a.txt").decode()
        check("blue" in said and "text/lane" in said and "4096" in said, said)
    with lane.step("get", "get to a file, checked by MD5"):
        s3cmd("get", "--force", f"{url}/a.txt", lane.path("a.back"))
        same(lane.read("a.back"), payload(4096), "a.txt")
    with lane.step("range", "get --continue asks for the rest of a cut file"):
        lane.write("a.cut", payload(4096)[:1500])
        s3cmd("get", "--continue", f"{url}/a.txt", lane.path("a.cut"))
        same(lane.read("a.cut"), payload(4096), "continued file")
    with lane.step("list", "ls with prefixes, recursive, du"):
        for key in ("a/1", "a/2", "b/1", "top"):
            s3cmd("put", lane.write("one", key.encode()), f"{url}/list/{key}")
        said = [line.split()[-1] for line in s3cmd("ls", f"{url}/list/").decode().splitlines()]
        check(sorted(said) == [f"{url}/list/a/", f"{url}/list/b/", f"{url}/list/top"], f"ls said {said}")
        said = [line.split()[-1] for line in s3cmd("ls", "-r", f"{url}/list/").decode().splitlines()]
        check(len(said) == 4, f"ls -r said {said}")
        check(s3cmd("du", f"{url}/list/").split()[:2] == [b"12", b"4"], "du")


def odd_keys(lane, s3cmd, url):
    for name, key in ODD_KEYS.items():
        with lane.step("odd keys", name):
            body = payload(333, name)
            s3cmd("put", lane.write("odd", body), f"{url}/{key}")
            s3cmd("get", "--force", f"{url}/{key}", lane.path("odd.back"))
            same(lane.read("odd.back"), body, repr(key))
            said = s3cmd("ls", f"{url}/{key}").decode()
            check(f"{url}/{key}" in said, f"ls said {said[:400]}")
            s3cmd("del", f"{url}/{key}")


def big(lane, s3cmd, url):
    with lane.step("multipart", "put of 64 MiB in 8 MiB parts, get"):
        path = lane.write("big", payload(64 * MIB))
        s3cmd("put", path, f"{url}/big")
        s3cmd("get", "--force", f"{url}/big", lane.path("big.back"))
        check(file_sha256(lane.path("big.back")) == file_sha256(path), "64 MiB came back different")
    with lane.step("copy", "cp and mv between keys"):
        s3cmd("cp", f"{url}/a.txt", f"{url}/copy/a b.txt")
        s3cmd("mv", f"{url}/copy/a b.txt", f"{url}/copy/moved")
        s3cmd("get", "--force", f"{url}/copy/moved", lane.path("moved"))
        same(lane.read("moved"), payload(4096), "moved copy")
        check("blue" in s3cmd("info", f"{url}/copy/moved").decode(), "metadata was not copied")


def rest(lane, s3cmd, url):
    with lane.step("presign", "signurl works, or the refusal of a SigV2 URL names s3v4"):
        link = s3cmd("signurl", f"{url}/a.txt", "+60").decode().strip()
        if lane.endpoint.is_tls:
            link = link.replace("http://", "https://", 1)
        status, said, _ = lane.endpoint.fetch(link)
        works = status == 200 and said == payload(4096)
        check(works or ("X-Amz-Signature" not in link and status in (400, 403) and b"s3v4" in said), f"{status} {said[:300]}")
    lane.not_applicable("conditional", "conditional writes", "s3cmd has no option for them")
    with lane.step("own job", "sync a tree up and down"):
        for n in range(9):
            lane.write(f"tree/{n % 3}/é {n}.bin", payload(700 + n, n))
        s3cmd("sync", lane.path("tree/"), f"{url}/tree/")
        os.makedirs(lane.path("treeback/"), exist_ok=True)
        s3cmd("sync", f"{url}/tree/", lane.path("treeback/"))
        for n in range(9):
            same(lane.read(f"treeback/{n % 3}/é {n}.bin"), payload(700 + n, n), f"file {n}")
    with lane.step("delete many", "del --recursive, rb"):
        s3cmd("del", "--recursive", "--force", f"{url}/tree/")
        s3cmd("del", "--recursive", "--force", url)
        check(not s3cmd("ls", "-r", url).strip(), "keys are left")
        s3cmd("rb", url)
