"""The aws-sdk-js lane: starts `aws_sdk_js.mjs` under Node and takes its steps over."""

import os
import shutil

from harness import check


def run(lane):
    node = shutil.which("node")
    check(node, "node is not installed")
    modules = os.environ.get("VAULTAIRE_NODE_MODULES", "")
    check(os.path.isdir(modules), "the JavaScript clients are not installed: run the lane through tests/run")
    # Modules are looked for above the importing file, so the script goes beside them.
    script = os.path.join(lane.work_dir, "aws_sdk_js.mjs")
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "aws_sdk_js.mjs"), script)
    os.symlink(modules, os.path.join(lane.work_dir, "node_modules"))
    lane.folded(node, script)
