"""The pyarrow lane: its S3 file system (the AWS C++ SDK) and parquet datasets on it."""

import os

import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs

from harness import MIB, ODD_KEYS, REGION, check, payload, same

ROWS = 200_000


def run(lane):
    lane.version = pyarrow.__version__
    os.environ.update(lane.env)
    files = pyarrow.fs.S3FileSystem(
        access_key=lane.endpoint.access_key,
        secret_key=lane.endpoint.secret_key,
        region=REGION,
        scheme="https" if lane.endpoint.is_tls else "http",
        endpoint_override=lane.endpoint.host,
        tls_ca_file_path=lane.endpoint.ca_file,
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )
    root = lane.bucket
    streams(lane, files, root)
    odd_keys(lane, files, root)
    dataset(lane, files, root)
    for column in ("presign", "conditional"):
        lane.not_applicable(column, column, "pyarrow's file system has no such call")
    with lane.step("delete many", "delete_dir_contents, delete the bucket"):
        files.delete_dir_contents(root)
        left = files.get_file_info(pyarrow.fs.FileSelector(root, recursive=True))
        check(not left, f"left: {left}")
        files.delete_dir(root)


def write(files, path, body, **options):
    with files.open_output_stream(path, **options) as sink:
        sink.write(body)


def read(files, path):
    with files.open_input_stream(path) as source:
        return source.read()


def streams(lane, files, root):
    body = payload(4096)
    with lane.step("put", "create the bucket, write with a type, an empty object"):
        files.create_dir(root)
        write(files, f"{root}/a.bin", body, metadata={"Content-Type": "text/lane"})
        write(files, f"{root}/empty", b"")
    with lane.step("get", "read whole streams and their metadata"):
        same(read(files, f"{root}/a.bin"), body, "a.bin")
        same(read(files, f"{root}/empty"), b"", "empty")
        with files.open_input_stream(f"{root}/a.bin") as source:
            found = source.metadata()
        check(found["Content-Type"] == b"text/lane", f"metadata {found}")
    with lane.step("range", "seek and read_at"):
        with files.open_input_file(f"{root}/a.bin") as source:
            same(source.read_at(50, 1000), body[1000:1050], "read_at")
            source.seek(4000)
            same(source.read(), body[4000:], "seek to the end")
    with lane.step("list", "selectors, recursive and not"):
        for key in ("list/a/1", "list/a/2", "list/b/1", "list/top"):
            write(files, f"{root}/{key}", key.encode())
        flat = {info.base_name: info.type.name for info in files.get_file_info(pyarrow.fs.FileSelector(f"{root}/list"))}
        check(flat == {"a": "Directory", "b": "Directory", "top": "File"}, f"{flat}")
        deep = files.get_file_info(pyarrow.fs.FileSelector(f"{root}/list", recursive=True))
        names = sorted(info.path for info in deep if info.is_file)
        check(names == [f"{root}/list/{key}" for key in ("a/1", "a/2", "b/1", "top")], f"{names}")
    with lane.step("multipart", "a stream of 64 MiB in pieces"):
        big = payload(64 * MIB)
        with files.open_output_stream(f"{root}/big") as sink:
            for at in range(0, len(big), 3 * MIB):
                sink.write(big[at:at + 3 * MIB])
        same(read(files, f"{root}/big"), big, "64 MiB")
    with lane.step("copy", "copy_file and move"):
        files.copy_file(f"{root}/a.bin", f"{root}/copy a b.bin")
        same(read(files, f"{root}/copy a b.bin"), body, "copy")
        files.move(f"{root}/copy a b.bin", f"{root}/moved.bin")
        check(files.get_file_info(f"{root}/copy a b.bin").type.name == "NotFound", "the source of the move is left")
        same(read(files, f"{root}/moved.bin"), body, "moved")


def odd_keys(lane, files, root):
    for name, key in ODD_KEYS.items():
        if name in ("double slash", "leading slash"):
            lane.not_applicable("odd keys", name, "pyarrow refuses empty parts in a path")
            continue
        with lane.step("odd keys", name):
            body = payload(333, name)
            write(files, f"{root}/{key}", body)
            same(read(files, f"{root}/{key}"), body, repr(key))
            folder = f"{root}/{key}".rsplit("/", 1)[0]
            listed = [info.path for info in files.get_file_info(pyarrow.fs.FileSelector(folder))]
            check(f"{root}/{key}" in listed, f"listed {listed}")
            files.delete_file(f"{root}/{key}")


def dataset(lane, files, root):
    with lane.step("own job", "parquet dataset: write partitioned, read filtered, read all"):
        table = pyarrow.table({
            "id": pyarrow.array(range(ROWS), pyarrow.int64()),
            "day": [f"2026-11-{n % 7 + 1:02}" for n in range(ROWS)],
            "value": [float(n) * 0.5 for n in range(ROWS)],
        })
        options = {"filesystem": files, "partitioning": ["day"], "format": "parquet"}
        pyarrow.dataset.write_dataset(table, f"{root}/table", **options)
        found = pyarrow.dataset.dataset(f"{root}/table", **options)
        check(found.count_rows() == ROWS, f"{found.count_rows()} rows")
        day = found.to_table(filter=pyarrow.compute.field("day") == "2026-11-03", columns=["id"])
        check(sorted(day.column("id").to_pylist()) == list(range(2, ROWS, 7)), "the filtered rows differ")
        back = found.to_table(columns=["id", "day", "value"]).sort_by("id")
        check(back.cast(table.schema).equals(table), "the table came back different")
