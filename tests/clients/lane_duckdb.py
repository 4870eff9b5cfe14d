"""The duckdb lane: its httpfs extension writes and reads parquet, csv and raw blobs by SQL."""

import glob
import os

import boto3
import botocore.client
import duckdb

from harness import MIB, ODD_KEYS, REGION, check, payload, same

# The program reads these as patterns in every path.
GLOB_CHARACTERS = set("*?[")


def run(lane):
    lane.version = duckdb.__version__
    os.environ.update(lane.env)
    sdk = lane.sdk()
    with lane.step("own job", "load httpfs from its package, make a bucket"):
        database = connect(lane)
        sdk.create_bucket(Bucket=lane.bucket)
    root = f"s3://{lane.bucket}"
    tables(lane, database, root)
    odd_keys(lane, database, sdk, root)
    big(lane, database, sdk, root)
    presigned(lane, database, sdk)
    for column in ("copy", "delete many", "conditional"):
        lane.not_applicable(column, column, "duckdb's httpfs has no such statement")


def connect(lane):
    folder = os.path.dirname(os.path.dirname(duckdb.__file__))
    found = glob.glob(os.path.join(folder, "duckdb_ext", "extensions", f"v{duckdb.__version__}", "*", "httpfs.duckdb_extension"))
    check(len(found) == 1, f"httpfs for duckdb {duckdb.__version__} is not installed: {found}")
    database = duckdb.connect()
    database.execute(f"SET home_directory = '{lane.home}'")
    database.execute(f"LOAD '{found[0]}'")
    settings = {
        "s3_endpoint": lane.endpoint.host,
        "s3_region": REGION,
        "s3_access_key_id": lane.endpoint.access_key,
        "s3_secret_access_key": lane.endpoint.secret_key,
        "s3_url_style": "path",
    }
    if lane.endpoint.ca_file:
        settings["ca_cert_file"] = lane.endpoint.ca_file
        database.execute("SET enable_server_cert_verification = true")
    for name, value in settings.items():
        database.execute(f"SET {name} = '{value}'")
    database.execute(f"SET s3_use_ssl = {str(lane.endpoint.is_tls).lower()}")
    return database


def rows(database, query, *values):
    return database.execute(query, list(values)).fetchall()


def tables(lane, database, root):
    database.execute("CREATE TABLE t AS SELECT i AS id, i % 5 AS part, hash(i) AS value FROM range(300000) r(i)")
    expected = rows(database, "SELECT count(*), sum(id), bit_xor(value) FROM t")
    with lane.step("put", "COPY TO parquet, csv and partitions"):
        database.execute(f"COPY t TO '{root}/t.parquet' (FORMAT parquet)")
        database.execute(f"COPY t TO '{root}/t.csv' (HEADER)")
        database.execute(f"COPY t TO '{root}/parts' (FORMAT parquet, PARTITION_BY (part))")
    with lane.step("get", "read parquet and csv back"):
        csv = f"read_csv('{root}/t.csv', types = {{'value': 'UBIGINT'}})"
        for source in (f"'{root}/t.parquet'", csv):
            got = rows(database, f"SELECT count(*), sum(id), bit_xor(value) FROM {source}")
            check(got == expected, f"{source}: {got}, expected {expected}")
    with lane.step("range", "one column of few rows reads ranges of the file"):
        got = rows(database, f"SELECT sum(id) FROM '{root}/t.parquet' WHERE id BETWEEN 250000 AND 250009")
        check(got == [(sum(range(250000, 250010)),)], f"{got}")
    with lane.step("list", "glob over partitions, hive columns"):
        names = rows(database, "SELECT file FROM glob(?) ORDER BY 1", f"{root}/parts/*/*.parquet")
        check(len({name.rsplit("/", 2)[1] for (name,) in names}) == 5, f"glob found {names}")
        got = rows(database, f"SELECT count(*), sum(id), bit_xor(value) FROM read_parquet('{root}/parts/**/*.parquet', hive_partitioning = true)")
        check(got == expected, f"{got}, expected {expected}")
        got = rows(database, f"SELECT count(*) FROM read_parquet('{root}/parts/*/*.parquet', hive_partitioning = true) WHERE part = 3")
        check(got == [(60000,)], f"{got}")


def odd_keys(lane, database, sdk, root):
    for name, key in ODD_KEYS.items():
        if GLOB_CHARACTERS & set(key):
            lane.not_applicable("odd keys", name, "duckdb reads * ? [ in a path as a pattern")
            continue
        with lane.step("odd keys", name):
            body = payload(333, name)
            sdk.put_object(Bucket=lane.bucket, Key=key, Body=body)
            got = rows(database, "SELECT content FROM read_blob(?)", f"{root}/{key}")
            check(len(got) == 1, f"{len(got)} files for {key!r}")
            same(got[0][0], body, repr(key))
            target = f"{root}/{key}".replace("'", "''")
            database.execute(f"COPY (SELECT 'written by duckdb' AS a) TO '{target}' (FORMAT csv, HEADER false)")
            same(sdk.get_object(Bucket=lane.bucket, Key=key)["Body"].read(), b"written by duckdb\n", repr(key))
            sdk.delete_object(Bucket=lane.bucket, Key=key)


def big(lane, database, sdk, root):
    with lane.step("multipart", "COPY of more than 64 MiB of parquet, compared row by row"):
        database.execute("CREATE TABLE big AS SELECT i AS id, hash(i) AS a, hash(i + 1000000000) AS b FROM range(5000000) r(i)")
        database.execute(f"COPY big TO '{root}/big.parquet' (FORMAT parquet, COMPRESSION uncompressed)")
        head = sdk.head_object(Bucket=lane.bucket, Key="big.parquet")
        check(head["ContentLength"] >= 64 * MIB, f"only {head['ContentLength']} bytes")
        check("-" in head["ETag"], f"ETag {head['ETag']} is not of a multipart upload")
        query = "SELECT count(*), sum(id), bit_xor(a), bit_xor(b) FROM "
        check(rows(database, f"{query} '{root}/big.parquet'") == rows(database, f"{query} big"), "the rows differ")


def presigned(lane, database, sdk):
    with lane.step("presign", "reads a presigned URL through plain http(s)"):
        sdk.put_object(Bucket=lane.bucket, Key="presigned.bin", Body=payload(9000))
        signer = boto3.client(
            "s3", endpoint_url=lane.endpoint.url, region_name=REGION, verify=lane.endpoint.ca_file or None,
            config=botocore.client.Config(signature_version="s3v4"),
        )
        where = {"Bucket": lane.bucket, "Key": "presigned.bin"}
        # duckdb asks for the size with HEAD, which a URL signed for GET refuses: reading must cope with that.
        url = signer.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
        database.execute("SET s3_access_key_id = ''; SET s3_secret_access_key = ''")
        got = rows(database, "SELECT content FROM read_blob(?)", url)
        same(got[0][0], payload(9000), "presigned blob")
