"""The works-with table: what the lanes recorded, as the Markdown that README shows."""

import re

import harness

BEGIN = "<!-- works-with -->"
END = "<!-- /works-with -->"

NAMES = {
    "aws-sdk-rust": "aws-sdk-rust", "aws-sdk-js": "aws-sdk-js v3", "awscli": "aws-cli", "boto3": "boto3", "rclone": "rclone",
    "s3cmd": "s3cmd", "restic": "restic", "pyarrow": "pyarrow", "duckdb": "duckdb httpfs", "deltalake": "deltalake",
}


def cell(steps):
    """`yes` when every step passed that the client can do at all; `no` names how many failed."""
    outcomes = [step["outcome"] for step in steps]
    failed = outcomes.count("fail")
    if failed:
        return f"**no** ({failed} of {len(outcomes)})"
    if "pass" not in outcomes:
        return "–"
    return "yes*" if "n/a" in outcomes else "yes"


def markdown(results):
    """One row for each client; a cell counts its steps over http and over TLS together."""
    columns = harness.COLUMNS
    lines = [
        "| Client | Version | http | TLS | " + " | ".join(columns) + " |",
        "|" + "---|" * (len(columns) + 4),
    ]
    notes = []
    for lane in dict.fromkeys(result["lane"] for result in results):
        of_lane = [result for result in results if result["lane"] == lane]
        steps = [step for result in of_lane for step in result["steps"]]
        transports = [cell([step for result in of_lane if result["tls"] == tls for step in result["steps"]]) for tls in (False, True)]
        cells = [cell([step for step in steps if step["column"] == column]) for column in columns]
        row = [NAMES[lane], of_lane[0]["version"], *(shown.rstrip("*") if shown == "yes*" else shown for shown in transports), *cells]
        lines.append("| " + " | ".join(row) + " |")
        skipped = {}
        # A column with no pass at all says so by its dash.
        passed = {step["column"] for step in steps if step["outcome"] == "pass"}
        for step in steps:
            if step["outcome"] == "n/a" and step["column"] in passed:
                skipped.setdefault(step["detail"], {})[step["step"]] = None
        notes += [f"- {NAMES[lane]}: {', '.join(names)}: {reason}." for reason, names in skipped.items()]
    lines += ["", "–: the client has no such operation."]
    if notes:
        lines += ["*: all but what the client itself cannot express:", "", *notes]
    return "\n".join(lines) + "\n"


def update(readme_path, table):
    """Puts the table between its two marks; returns whether the marks were there."""
    with open(readme_path, encoding="utf-8") as file:
        text = file.read()
    between = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not between.search(text):
        return False
    with open(readme_path, "w", encoding="utf-8") as file:
        file.write(between.sub(lambda _: f"{BEGIN}\n{table}{END}", text))
    return True
