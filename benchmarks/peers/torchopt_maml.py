# SPDX-License-Identifier: Apache-2.0
"""One second-order MAML step by torchopt's MetaSGD, in torchopt's own environment; gradients of all tasks summed.

.peers/torchopt/bin/python benchmarks/peers/torchopt_maml.py MODEL STEPS REPEAT FILE [float64]

Prints one line of JSON with all times; the meta-gradient, averaged over tasks, goes to FILE as plain float64.
"""

import json
import sys
import time
from pathlib import Path

import torch
import torchopt
from meta_tasks import RATE, TASKS, loss, network, tasks


def main() -> None:
    model, steps, repeat, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    kind = torch.float64 if sys.argv[5:] == ["float64"] else torch.float32
    net, ((xs, ys), (xq, yq)) = network(model).to(kind), [[one.to(kind) for one in part] for part in tasks(model)]

    def step() -> None:
        net.zero_grad()
        inner = torchopt.MetaSGD(net, lr=RATE)
        start = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
        rule = torchopt.extract_state_dict(inner, by="reference")
        for task in range(TASKS):
            for _ in range(steps):
                inner.step(loss(model, net(xs[task]), ys[task]))
            query = loss(model, net(xq[task]), yq[task])
            torchopt.recover_state_dict(net, start)
            torchopt.recover_state_dict(inner, rule)
            query.backward()

    seconds = []
    for _ in range(repeat + 1):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    mean = torch.cat([one.grad.flatten() for one in net.parameters()]) / TASKS
    file.write_bytes(mean.double().numpy().tobytes())
    print(json.dumps({"first_call_ms": 1e3 * seconds[0], "ms": [1e3 * one for one in seconds[1:]]}))


if __name__ == "__main__":
    main()
