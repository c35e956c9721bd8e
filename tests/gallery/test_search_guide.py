"""The commands of docs/search.md run."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "search.md"


def test_marked_commands_run(weights: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"<!-- test -->\n```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    code = block.replace("WEIGHTS", str(weights))
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "choose one of these" not in done.stdout
    assert re.search(r"deleted \d+ tracklets", done.stdout)
    assert (tmp_path / "hits.html").is_file()
    assert (tmp_path / "detected" / "detections.csv").is_file()
