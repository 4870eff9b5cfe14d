"""Runs one client lane over one transport and writes its steps as JSON.

    lane.py --lane boto3 --bin target/release/vaultaire [--tls] [--out FILE]
    lane.py --lane boto3 --endpoint URL --access-key A --secret-key S [--ca-file F]

The second form drives any S3 server, to tell a wrong lane from a wrong server. Exit 0: every step
passed. 1: a step failed. It compares nothing between lanes: that is the runner's table.
"""

import argparse
import importlib
import json
import os
import signal
import sys

import harness

LANES = ["boto3", "awscli", "aws_sdk_rust", "aws_sdk_js", "rclone", "s3cmd", "restic", "pyarrow", "duckdb", "deltalake"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lane", required=True, choices=LANES)
    parser.add_argument("--bin", help="the vaultaire binary to start")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--endpoint", help="a running S3 server to use instead of starting one")
    parser.add_argument("--access-key", default="test")
    parser.add_argument("--secret-key", default="test")
    parser.add_argument("--ca-file")
    parser.add_argument("--out", help="where the steps go as JSON")
    found = parser.parse_args()
    if bool(found.bin) == bool(found.endpoint):
        parser.error("give either --bin or --endpoint")
    return found


def main():
    args = arguments()
    # A terminated lane unwinds, so that its server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with harness.folder() as work_dir:
        server = None
        try:
            if args.bin:
                server = harness.Server(os.path.abspath(args.bin), args.tls, work_dir)
                endpoint = server.endpoint
            else:
                endpoint = harness.Endpoint(args.endpoint, args.access_key, args.secret_key, args.ca_file)
            lane = harness.Lane(args.lane.replace("_", "-"), endpoint, work_dir)
            if server:
                # Not a step: without it every step would fail for the same reason.
                status, said, _ = endpoint.fetch(endpoint.url + "/livez")
                harness.check(status == 200, f"/livez answered {status} {said[:200]}")
            with lane.step("own job", "lane ran to its end"):
                importlib.import_module(f"lane_{args.lane}").run(lane)
        except harness.Failure as failure:
            print(f"the lane did not start: {failure}", flush=True)
            return 1
        finally:
            code = server.stop() if server else 0
        if server:
            with lane.step("own job", "server drained and stopped"):
                harness.check(code == 0, f"the server ended with {code}:\n{server.log_tail()}")
        failed = [step for step in lane.steps if step["outcome"] == "fail"]
        if failed and server:
            print(f"--- last lines of the server's log ---\n{server.log_tail()}", flush=True)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump({"lane": lane.name, "version": lane.version, "tls": endpoint.is_tls, "steps": lane.steps}, file)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
