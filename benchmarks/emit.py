"""How a benchmark reports: one JSON line with machine and date; with SPNET_BENCHMARKS=write also kept in results/."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def emit(benchmark: str, values: Mapping[str, object]) -> None:
    """Print the values of a benchmark, and write them to results/BENCHMARK.json where the environment asks for it."""
    about = {"benchmark": benchmark, "machine": machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    result = about | {"torch": torch.__version__} | dict(values)
    print(json.dumps(result), flush=True)
    if os.environ.get("SPNET_BENCHMARKS") == "write":
        (RESULTS / f"{benchmark}.json").write_text(json.dumps(result, indent=1) + "\n")


def machine() -> str:
    """The GPU, or the processor with the number of its cores and what it computes fast."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags, name = facts.get("flags", "").split(), facts.get("model name", platform.processor())
    wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name}, {os.cpu_count()} cores ({', '.join(wide)})"
