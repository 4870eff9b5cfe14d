"""A pytest plugin that writes down which tests were collected, with their markers, and how each ended.

It is loaded by `run` and knows nothing of S3.
"""

import json
import os

OUT = os.environ["VAULTAIRE_S3_TESTS_OUT"]
ENDS = {}


# Each worker has users of its own, since some tests look at all buckets of a user. These come first: other tests
# leave buckets behind that the suite does not clean up.
FIRST = ("test_list_buckets",)
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER:
    os.environ["S3TEST_CONF"] = os.environ["S3TEST_CONF"].replace("{worker}", WORKER.removeprefix("gw"))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.name.startswith(FIRST))


def pytest_collection_finish(session):
    # What is deselected is gone by now. Workers of xdist collect the same: the first one writes it.
    if WORKER == "gw0":
        markers = {bare(item.nodeid): sorted({mark.name for mark in item.iter_markers()}) for item in session.items}
        write("collected.json", markers)


def pytest_runtest_logreport(report):
    """A test passes when its set-up, itself and its clean-up pass."""
    end = ENDS.setdefault(bare(report.nodeid), {"passed": False, "why": ""})
    if report.when == "call":
        end["passed"] = report.outcome == "passed"
    if report.outcome != "passed":
        end["passed"] = False
        end["why"] = end["why"] or f"{report.when}: {last_words(report)}"


def pytest_sessionfinish():
    if not WORKER:
        write("ends.json", ENDS)


def bare(nodeid):
    return nodeid.rsplit("/", 1)[-1]


def last_words(report):
    text = report.longreprtext if hasattr(report, "longreprtext") else str(report.longrepr)
    errors = [line[1:].strip() for line in text.splitlines() if line.startswith("E  ")]
    return " | ".join(errors)[:600] or text[-300:]


def write(name, value):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
