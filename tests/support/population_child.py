"""Trainings in processes of their own, to be killed. A line on stdin, FOLDER MODE HOW, starts one and is answered by
its process id; another line waits for its end and is answered by its exit status: until then the number is nobody
else's. The processes are forked from this one, which has done its imports.
"""

import os
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from populations import small_training, start_of

from fedmeta_privacy.claims import View
from secure_fedmeta.population.training import train

ROUNDS = 6


def run(folder, mode, how):
    fresh = mode == "fresh"
    training = small_training(rounds=ROUNDS, spare=400 if fresh else 0, reproducible=not fresh)
    log = os.open(folder / "releases", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(step, survivors, theta):
        # One write, so that a kill leaves whole lines: what has left the process at this point is a release.
        os.write(log, f"{step} {theta.numpy().tobytes().hex()[:32]}\n".encode())

    resume = how == "resume"
    result = train(training, start_of(training), folder=folder, resume=resume, every=2, watch=watch, progress=False)
    np.save(folder / "theta.npy", result.theta.numpy())


def main():
    torch.set_num_threads(1)
    small_training().account.epsilon(View.RELEASE, rounds=1, delta=1e-5)  # imports the accountant, once for all
    for line in iter(sys.stdin.readline, ""):
        folder, mode, how = line.split()
        process = os.fork()
        if process == 0:
            status = 1
            try:
                run(Path(folder), mode, how)
                status = 0
            finally:  # never back into the loop; what went wrong is the parent's to see, by the status
                if sys.exc_info()[0] is not None:
                    traceback.print_exc()
                os._exit(status)
        print(process, flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
