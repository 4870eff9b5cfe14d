"""What lanes of the learner share: generated logs, and what is found of them."""

import json
import os
import subprocess

DAY_S = 86_400
START_S = 20_089 * DAY_S

# All classes of workload together.
MIX = "(all)"


def seeds(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def add_arguments(parser):
    parser.add_argument("--binary", required=True)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--charge-from-day", type=int, default=160)
    parser.add_argument("--seeds", type=seeds, default=seeds("101-105"))
    parser.add_argument("--allow-archive", action="store_true")


def called(command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def made(args, seed, folder, *more):
    """A log of this seed."""
    log = os.path.join(folder, f"{seed}.csv")
    called([args.binary, "generate-trace", "--objects", args.objects, "--days", args.days, "--seed", seed, "--output", log, *more])
    return log


def simulated(args, log, *more):
    """What is found of a log."""
    charged = START_S + args.charge_from_day * DAY_S
    command = [args.binary, "simulate", "--log", log, "--json", "--charge-from", charged, *more]
    return json.loads(called(command + ["--allow-archive"] * args.allow_archive))
