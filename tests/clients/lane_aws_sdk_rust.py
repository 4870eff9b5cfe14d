"""The aws-sdk-rust lane: starts the program of `aws_sdk_rust/` and takes its steps over."""

import os

from harness import check


def run(lane):
    program = os.environ.get("VAULTAIRE_LANE_AWS_SDK_RUST", "")
    check(os.path.exists(program), "lane-aws-sdk-rust is not built: run the lane through tests/run")
    lane.folded(program)
