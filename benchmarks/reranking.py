"""How long does re-ranking take on a search of PRW's size, how much memory does it need, and what does its depth cost?

    python benchmarks/reranking.py                       all ways, each in a process of its own, one JSON line each
    python benchmarks/reranking.py --rerank cbgm         one way, as `spnet score` takes it

The detections are the random ones of `evaluator.py`: persons without companions, so they say nothing about the gain of
context matching. One core, processor time.
"""

import argparse
import subprocess
import sys
import time

import torch

from emit import emit
from evaluator import CASES, make_search, megabytes_above_now
from spnet.evaluation.rerank_options import describe_reranking, parse_rerankings
from spnet.evaluation.retrieval import RetrievalResult, evaluate

WAYS = ("k-reciprocal:depth=250", "k-reciprocal", "cbgm")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time re-ranking; one JSON line a way.")
    parser.add_argument("--rerank", metavar="NAME[:KEY=VALUE,...]", help="measure this one only")
    parser.add_argument("--case", choices=CASES, default="prw_128", help="of evaluator.py (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.rerank:
        measure(arguments.rerank, arguments.case)
        return
    for way in WAYS:
        subprocess.run([sys.executable, __file__, "--case", arguments.case, "--rerank", way], check=True)


def measure(way: str, case: str) -> None:
    """Seconds, memory and mAP of one way, beside the search without it."""
    torch.set_num_threads(1)
    arrays, protocol = make_search(CASES[case])
    ((name, how),) = parse_rerankings([way]).items()
    begin = time.process_time()
    plain = evaluate(arrays, protocol)
    between = time.process_time()
    results: list[RetrievalResult] = []
    memory = megabytes_above_now(lambda: results.append(evaluate(arrays, protocol, reranking=how)))
    seconds = time.process_time() - between
    values: dict[str, object] = {
        "case": case,
        "rerank": describe_reranking(name, how),
        "seconds_without": round(between - begin, 2),
        "seconds": round(seconds, 1),
        "milliseconds_a_query": round(1000 * seconds / len(protocol.queries), 1),
        "peak_megabytes_above_input": round(memory),
        "mAP_without": round(plain.mean_average_precision, 4),
        "mAP": round(results[0].mean_average_precision, 4),
    }
    emit(f"reranking_{case}_{way.replace(':', '_').replace('=', '')}", values)


if __name__ == "__main__":
    main()
