"""Hands jobs to a SLURM cluster by submitit: each waits there for those it comes after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spnet.errors import UserError
from spnet.extras import import_extra
from spnet.paper.process_pool import Job


def submit(jobs: Sequence[Job], folder: Path, options: Mapping[str, str], cluster: str | None = None) -> dict[str, str]:
    """Submit all jobs; returns the cluster's number of each by name.

    Args:
        jobs: predecessors first.
        folder: for submitit's logs.
        options: parameters of submitit's executor (`timeout_min`, `slurm_partition`, `gpus_per_node` ...).
        cluster: `slurm`, or `local` and `debug` to try it without one; submitit looks for SLURM if not given.

    Raises:
        UserError: submitit is not installed, there is no cluster, or it refuses an option.
    """
    submitit = import_extra("submitit")
    parameters = {name: int(value) if value.isdecimal() else value for name, value in options.items()}
    numbers: dict[str, str] = {}
    for job in jobs:
        try:
            executor = submitit.AutoExecutor(folder, cluster or "slurm")
            executor.update_parameters(name=job.name, **parameters)
            if waits := [numbers[name] for name in job.after if name in numbers]:
                dependency = {"dependency": f"afterok:{':'.join(waits)}"}
                executor.update_parameters(slurm_additional_parameters=dependency)
            work = submitit.helpers.CommandFunction(list(job.command))
            numbers[job.name] = executor.submit(work).job_id
        except (RuntimeError, TypeError, ValueError, OSError, NameError) as error:
            raise UserError(f"--slurm: {next(iter(str(error).splitlines()), type(error).__name__)}") from error
    return numbers
