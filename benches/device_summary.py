"""What benches/device has measured by now: the table on standard output, and all numbers in summary.json.

  device_summary.py RESULTS DEVICE
"""
import json, re, sys
from collections import Counter
from pathlib import Path

out, device = Path(sys.argv[1]), sys.argv[2]
found = out / "parts"
parts = [json.loads(line) for line in (found / "parts.jsonl").read_text().splitlines()]
samples = []
if (found / "memory.csv").exists():
    for line in (found / "memory.csv").read_text().splitlines():
        try: samples.append([float(x) for x in line.split(",")])
        except ValueError: pass

def read(name):
    try: return json.loads((found / f"{name}.json").read_text())
    except (OSError, ValueError): return None

def log(variant, device):
    """The lines of a run's log by phase and step; what is the machine's left out."""
    lines = {}
    for line in (found / "runs" / f"{variant}-{device.replace(':', '-')}" / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        values = {k: v for k, v in line.items() if isinstance(v, float) and not k.startswith(("machine.", "evaluation."))}
        lines.setdefault((line["phase"], line["step"]), {}).update(values)
    return lines

# The largest difference of each value, relative to the larger of both (or to 1e-3 of its kind, where it is near 0), and its step.
parity = {}
for variant in ["none", "repa", "self-transcendence"]:
    try: ours, theirs = log(variant, device), log(variant, "cpu")
    except OSError: continue
    worst = {}
    for place in sorted(ours.keys() & theirs.keys()):
        for key in ours[place].keys() & theirs[place].keys():
            a, b = ours[place][key], theirs[place][key]
            off = abs(a - b) / max(abs(a), abs(b), 1e-3)
            if key not in worst or off > worst[key]["relative"]:
                worst[key] = {"relative": off, "phase": place[0], "step": place[1], device: a, "cpu": b}
    parity[variant] = {"steps": len(ours.keys() & theirs.keys()), "missing": len(ours.keys() ^ theirs.keys()), "worst": worst}

rows, took = [], {}
for part in parts:
    name = part["part"]
    if "began" in part:
        took[name] = round(part["ended"] - part["began"], 1)
    if part.get("exit") == 0 and name.startswith(("sextant-", "torch-")):
        used = [memory for at, memory, *_ in samples if part["began"] <= at <= part["ended"]]
        rows.append({"name": name, **(read(name) or {}), "nvidia_smi_mib": max(used, default=None)})

# cubecl writes a table of kernels whenever the device is waited for: those of the steps (their parts) are added up, those behind
# them, of the product that the speed is measured by, are of three kernels at most.
tables, kernels = [], Counter()
if (found / "kernels.txt").exists():
    unit = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    for line in (found / "kernels.txt").read_text(errors="replace").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "Name": tables.append({})
        elif len(cells) == 4 and tables and cells[0] != "Total" and (took_by := re.fullmatch(r"([0-9.]+)(s|ms|µs|ns)", cells[1])):
            tables[-1][cells[0]] = float(took_by[1]) * unit[took_by[2]]
while tables and len(tables[-1]) <= 3: tables.pop()
for table in tables: kernels.update(table)

failed = {part["part"]: part["exit"] for part in parts if part.get("exit", 0) != 0}
left_out = [part["part"] for part in parts if part.get("left_out")]
summary = {"device": device, "devices": read("devices"), "parity": parity, "benchmarks": rows, "kernels_s": dict(kernels.most_common()), "seconds": took, "failed": failed, "left_out": left_out}
(out / "summary.json").write_text(json.dumps(summary, indent=1))

text = [f"device: {device}", f"devices: {json.dumps(read('devices'))}", ""]
for variant, agreed in parity.items():
    text.append(f"{variant}: {agreed['steps']} lines of the log on {device} and on the CPU, {agreed['missing']} on one alone")
    for key, at in sorted(agreed["worst"].items(), key=lambda item: -item[1]["relative"]):
        text.append(f"  {key:<28} off by {at['relative']:.1e} at step {at['step']} of {at['phase']}: {at[device]:.6g}, {at['cpu']:.6g}")
text += ["", "| step | seconds | slowest part | memory, of nvidia-smi (GB) | of products' speed |", "|---|---|---|---|---|"]
for row in rows:
    shares = row.get("parts_s") or {k.removesuffix("_s"): row[k] for k in ["forward_s", "backward_s", "update_s"] if k in row}
    slowest = max(shares, key=shares.get) if shares else ""
    share = f"{slowest} {shares[slowest] / row['step_s']:.0%}" if shares else ""
    peak = f"{row['share_of_peak']:.0%}" if row.get("share_of_peak") else ""
    memory = f"{(row.get('peak_bytes') or 0) / 1e9:.2f}, {(row['nvidia_smi_mib'] or 0) * 1048576 / 1e9:.1f}"
    text.append(f"| {row['name']}, batch {row.get('batch')} | {row.get('step_s', 0):.4f} | {share} | {memory} | {peak} |")
if kernels:
    total = sum(kernels.values())
    text += ["", "| kernel of the longest step | of its time |", "|---|---|"]
    text += [f"| {name} | {spent / total:.1%} |" for name, spent in kernels.most_common(15)]
text += ["", f"failed: {failed or 'none'}", f"left out for want of time: {left_out or 'none'}", ""]
print("\n".join(text))
