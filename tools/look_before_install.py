# SPDX-License-Identifier: Apache-2.0
"""Ask pip what it would install, and say so if torch would not be a CPU build. Never fails: it only informs."""

import json
import pathlib
import subprocess
import sys
import tempfile


def main() -> None:
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode == 0:
        return
    pin = pathlib.Path("constraints.txt").read_text().split()[-1]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "-qq", "--disable-pip-version-check"]
        done = subprocess.run([*command, "--report", report.name, pin], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(f"pip cannot resolve {pin}:\n{done.stderr[-800:]}\n")
            return
        plan = json.loads(pathlib.Path(report.name).read_text())
    names = [item["metadata"]["name"] for item in plan.get("install", [])]
    gpu = [name for name in names if name.startswith(("nvidia-", "triton", "cuda-"))]
    if gpu:
        print(f"note: pip will install torch with CUDA ({len(gpu)} packages, about 3 GB on top).")
        print("      It works. For the small CPU build (about 200 MB) stop now and run:")
        print("      make clean; make demo TORCH_INDEX=<index of CPU builds, see pytorch.org, Get Started>")


if __name__ == "__main__":
    main()
