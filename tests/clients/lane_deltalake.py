"""The deltalake lane: tables whose commits rest on `If-None-Match: *`, also under concurrent writers."""

import multiprocessing
import os

import deltalake
import pyarrow

from harness import MIB, REGION, check, payload

WRITERS = 4
APPENDS_EACH = 5


def run(lane):
    lane.version = deltalake.__version__
    os.environ.update(lane.env)
    with lane.step("own job", "make a bucket"):
        lane.sdk().create_bucket(Bucket=lane.bucket)
    options = {
        "AWS_ENDPOINT_URL": lane.endpoint.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": lane.endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": lane.endpoint.secret_key,
        "AWS_ALLOW_HTTP": "false" if lane.endpoint.is_tls else "true",
        "conditional_put": "etag",
    }
    tables(lane, options)
    upkeep(lane, options)
    concurrent(lane, options)
    lane.not_applicable("presign", "presign", "deltalake never presigns")
    lane.not_applicable("copy", "copy", "deltalake commits with conditional puts, not with copies")


def rows(first, count):
    ids = list(range(first, first + count))
    return pyarrow.table({"id": pyarrow.array(ids, pyarrow.int64()), "name": pyarrow.array([f"row {n}" for n in ids], pyarrow.string())})


def ids(uri, options, **which):
    table = deltalake.DeltaTable(uri, storage_options=options, **which)
    return sorted(table.to_pyarrow_table(columns=["id"]).column("id").to_pylist())


def tables(lane, options):
    uri = f"s3://{lane.bucket}/table"
    with lane.step("put", "create and append"):
        deltalake.write_deltalake(uri, rows(0, 1000), storage_options=options)
        deltalake.write_deltalake(uri, rows(1000, 1000), mode="append", storage_options=options)
    with lane.step("get", "read the newest and an older version"):
        check(ids(uri, options) == list(range(2000)), "the newest version differs")
        check(ids(uri, options, version=0) == list(range(1000)), "version 0 differs")
    with lane.step("range", "a filtered read of a dataset"):
        dataset = deltalake.DeltaTable(uri, storage_options=options).to_pyarrow_dataset()
        found = dataset.to_table(filter=pyarrow.dataset.field("id") >= 1990, columns=["name"])
        check(sorted(found.column("name").to_pylist()) == [f"row {n}" for n in range(1990, 2000)], "rows differ")
    with lane.step("list", "history and files from the listed log"):
        table = deltalake.DeltaTable(uri, storage_options=options)
        check(table.version() == 1 and len(table.history()) == 2, f"version {table.version()}")
        check(len(table.file_uris()) == 2, f"{table.file_uris()}")
    with lane.step("odd keys", "partition values with spaces, plus, percent, slash, Unicode"):
        values = ["a b", "a+b", "100%", "a/b", "ünï-日本", "it's"]
        odd = f"s3://{lane.bucket}/odd table/+1"
        data = pyarrow.table({"part": values, "id": pyarrow.array(range(len(values)), pyarrow.int64())})
        deltalake.write_deltalake(odd, data, partition_by=["part"], storage_options=options)
        back = deltalake.DeltaTable(odd, storage_options=options).to_pyarrow_table().sort_by("id")
        check(back.column("part").to_pylist() == values, f"{back.column('part').to_pylist()}")
    lane.not_applicable("odd keys", "leading slash, double slash, 1,024 bytes", "deltalake normalises its paths")


def upkeep(lane, options):
    uri = f"s3://{lane.bucket}/big"
    with lane.step("multipart", "a file of more than 64 MiB, read back and compared"):
        blobs = [payload(MIB, n) for n in range(66)]
        data = pyarrow.table({"id": pyarrow.array(range(66), pyarrow.int64()), "blob": blobs})
        size = 256 * MIB
        deltalake.write_deltalake(uri, data, storage_options=options, target_file_size=size)
        table = deltalake.DeltaTable(uri, storage_options=options)
        largest = max(pyarrow.table(table.get_add_actions(flatten=True)).column("size_bytes").to_pylist())
        check(largest >= 64 * MIB, f"the largest file has {largest} bytes")
        back = table.to_pyarrow_table().sort_by("id").column("blob").to_pylist()
        check(back == blobs, "the bytes came back different")
    with lane.step("delete many", "compact, then vacuum the old files"):
        small = f"s3://{lane.bucket}/small"
        for n in range(6):
            deltalake.write_deltalake(small, rows(n * 10, 10), mode="append", storage_options=options)
        table = deltalake.DeltaTable(small, storage_options=options)
        table.optimize.compact()
        gone = table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        check(len(gone) == 6, f"vacuum removed {gone}")
        check(ids(small, options) == list(range(60)), "rows are lost after vacuum")
        table.create_checkpoint()
        check(ids(small, options) == list(range(60)), "rows are lost after the checkpoint")


def append(uri, options, writer, failures):
    """One of several processes that commit to the same table at the same time."""
    try:
        for n in range(APPENDS_EACH):
            first = (writer * APPENDS_EACH + n) * 10
            deltalake.write_deltalake(uri, rows(first, 10), mode="append", storage_options=options)
    except Exception as error:  # Reported by the parent, which alone records steps.
        failures.put(f"writer {writer}: {error}")


def concurrent(lane, options):
    with lane.step("conditional", f"{WRITERS} processes commit {WRITERS * APPENDS_EACH} times: none is lost, none twice"):
        uri = f"s3://{lane.bucket}/contended"
        deltalake.write_deltalake(uri, rows(0, 0), storage_options=options)
        context = multiprocessing.get_context("spawn")
        failures = context.Queue()
        writers = [context.Process(target=append, args=(uri, options, n, failures)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
            if writer.is_alive():
                writer.kill()
        check(all(writer.exitcode == 0 for writer in writers), f"exit codes {[writer.exitcode for writer in writers]}")
        said = [] if failures.empty() else [failures.get()]
        check(not said, f"{said}")
        total = WRITERS * APPENDS_EACH
        check(ids(uri, options) == list(range(total * 10)), "rows are lost or doubled")
        version = deltalake.DeltaTable(uri, storage_options=options).version()
        check(version == total, f"version {version} after {total} commits")
