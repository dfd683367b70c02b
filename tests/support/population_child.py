"""A training in a process of its own, to be killed: python population_child.py FOLDER fresh|reproducible resume|start."""

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from populations import small_training, start_of

from secure_fedmeta.population.training import train


def main():
    folder, mode, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    training = small_training(
        rounds=12, spare=0 if mode == "reproducible" else 200, reproducible=mode == "reproducible"
    )
    log = os.open(folder / "releases", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(step, survivors, theta):
        # One write, so that a kill leaves whole lines: what has left the process at this point is a release.
        os.write(log, f"{step} {theta.numpy().tobytes().hex()[:32]}\n".encode())

    result = train(training, start_of(training), folder=folder, resume=how == "resume", watch=watch, progress=False)
    np.save(folder / "theta.npy", result.theta.numpy())


if __name__ == "__main__":
    main()
