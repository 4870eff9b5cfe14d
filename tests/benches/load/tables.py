"""Figures as rows of one Markdown table."""

import platform
import statistics

MIB = 1024 * 1024


def median(found, name):
    return statistics.median(one[name] for one in found)


def mib(bytes_per_second):
    return f"{bytes_per_second / MIB:.0f} MiB/s"


def latency(found):
    return f"{median(found, 'p50_us') / 1000:.2f} / {median(found, 'p99_us') / 1000:.2f}"


def ratio(found, peer, name="per_second"):
    if peer not in found:
        return ""
    return f"{median(found['vaultaire'], name) / median(found[peer], name):.2f}x"


def processor(found):
    """Microseconds of the server's core for one request, in the order of the servers."""
    return " / ".join(f"{median(figures, 'cpu_us'):,.0f}" for figures in found.values())


def rates(label, found, syncs=None):
    """A row of requests a second, with ratios and latencies of all servers."""
    cells = {"": label}
    for server, figures in found.items():
        cells[server] = f"{median(figures, 'per_second'):,.0f}/s"
        cells[f"{server} ms"] = latency(figures)
    cells["CPU us"] = processor(found)
    cells["to s3s-fs"] = ratio(found, "s3s-fs")
    cells["to nginx"] = ratio(found, "nginx")
    if syncs:
        cells["the machine alone"] = f"{syncs:,.0f} fdatasync/s"
    return cells


def throughput(label, found, size, bound, bound_text):
    """A row of bytes a second against what the machine can do alone."""
    cells = {"": label}
    for server, figures in found.items():
        cells[server] = mib(median(figures, "per_second") * size)
        cells[f"{server} ms"] = latency(figures)
    cells["CPU us"] = processor(found)
    own = median(found["vaultaire"], "per_second") * size
    cells["to s3s-fs"] = ratio(found, "s3s-fs")
    cells["to nginx"] = ratio(found, "nginx")
    cells["the machine alone"] = f"{bound_text}: {own / bound:.2f}x"
    return cells


def single(label, figures, syncs=None):
    return rates(label, {"vaultaire": figures}, syncs)


COLUMNS = ("", "vaultaire", "vaultaire ms", "s3s-fs", "s3s-fs ms", "nginx", "nginx ms", "CPU us", "to s3s-fs", "to nginx", "the machine alone")


def markdown(rows, bench):
    lines = [
        f"Medians of {bench.round_count} interleaved rounds of {bench.seconds:g} s; ms are p50 / p99, CPU us are the servers' for one request, in their order. Server and tool on one core each of {platform.machine()}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    plain = []
    for row in rows:
        if isinstance(row, tuple):
            plain.append(row)
        else:
            lines.append("| " + " | ".join(row.get(column, "") for column in COLUMNS) + " |")
    if plain:
        lines += ["", "| | |", "|---|---|"]
        lines += [f"| {name} | {figure} |" for name, figure in plain]
    return "\n".join(lines)
