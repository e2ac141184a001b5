"""What was found, as a table for people, as JSON for programs and as a picture."""

import json
import os
import statistics
from dataclasses import asdict, fields
from pathlib import Path

from comparison.chart import bars
from comparison.load import Figures

BASE = "nginx"


def median(values: list[float]) -> float:
    return statistics.median(values)


def machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores, {model}, Linux {os.uname().release}"


def medians(sides: dict[str, list[Figures]]) -> dict[str, dict]:
    """Of each side: medians, and the median of the ratios to nginx, round by round."""
    found = {}
    for name, rounds in sides.items():
        figures = {field.name: median([getattr(one, field.name) for one in rounds]) for field in fields(Figures)}
        ratios = [one.cpu / base.cpu for one, base in zip(rounds, sides[BASE])]
        found[name] = {
            **figures,
            "cpu_to_nginx": median(ratios), "cpu_to_nginx_least": min(ratios), "cpu_to_nginx_most": max(ratios),
            "p99_to_nginx": median([one.p99 / base.p99 for one, base in zip(rounds, sides[BASE])]),
            "rounds": [asdict(one) for one in rounds],
        }
    return found


def write(found: dict, folder: Path | None) -> None:
    text = markdown(found)
    print(f"\n{text}")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.md").write_text(text)
        (folder / "comparison.json").write_text(json.dumps(found, indent=1) + "\n")
        (folder / "comparison.svg").write_text(bars(found))


def markdown(found: dict) -> str:
    lines = [
        f"{found['date']}; {found['machine']}; {found['rounds']} rounds of {found['seconds']} s; "
        + "; ".join(found["versions"].values()) + ".", "",
        "| | side | CPU | of nginx | least .. most | MiB a CPU second | requests/s | p50 | p99 | p99 of nginx | resident |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case, sides in found["cells"].items():
        title = found["cases"][case]["title"]
        for name, cell in sides.items():
            lines.append("| " + " | ".join([
                title, name, _microseconds(cell["cpu"]), f"{cell['cpu_to_nginx']:.2f}",
                f"{cell['cpu_to_nginx_least']:.2f} .. {cell['cpu_to_nginx_most']:.2f}",
                f"{cell['mib_per_cpu_second']:.0f}", f"{cell['rate']:.0f}", _microseconds(cell["p50"]), _microseconds(cell["p99"]),
                f"{cell['p99_to_nginx']:.2f}", f"{cell['resident'] / (1 << 20):.0f} MiB",
            ]) + " |")
            title = ""
    if found["alone"]:
        lines += ["", "| side | start to first answer | an idle connection | a stalled stream |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {each['first_answer'] * 1000:.0f} ms | {each['idle_connection'] / 1024:.1f} KiB "
                  f"| {each['stalled_stream'] / 1024:.0f} KiB |" for name, each in found["alone"].items()]
    return "\n".join(lines) + "\n"


def _microseconds(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.1f} ms"
