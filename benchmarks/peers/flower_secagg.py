# SPDX-License-Identifier: Apache-2.0
"""Time one round of Flower's SecAgg+: its own client code and its own server workflow, in one process, no network.

python benchmarks/peers/build.py flower
.peers/flower/bin/python benchmarks/peers/flower_secagg.py CLIENTS SHARES DIMENSION DROPOUT

SHARES counts the client's own share, as Flower's num_shares does; SHARES >= CLIENTS is the complete graph. The
threshold is 0.6 of the shares. Every client holds one float32 vector of DIMENSION values; the fraction DROPOUT of the
clients is lost after sharing its keys, before its masked vector. Prints one JSON line.

Not counted to either side: the training, turning its result into Flower's records, serialising messages. Clients'
seconds are the median over those that finish the round (and the mean), by stage; "encode" is the scaling and rounding
of floats to integers, "masking" the total without it. The server's are its workflow's wall time less that spent here.
"""

import argparse
import gc
import importlib
import json
import logging
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from flwr.client.mod import secaggplus_mod
from flwr.common import (
    ArrayRecord,
    Code,
    ConfigRecord,
    Context,
    Error,
    FitIns,
    FitRes,
    Message,
    RecordDict,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.compat.common import recorddict_compat
from flwr.server import Grid
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import WorkflowState
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Configs = MutableMapping[str, Any]  # a message's ConfigRecord
MAX_WEIGHT = 1000.0
ENCODE = "encode"
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # of the server: messages carry them


class Stopwatch:
    """Stands for one function of a module and adds up the seconds spent in it."""

    def __init__(self, module: str, name: str) -> None:
        held = importlib.import_module(module)
        self.function, self.seconds = getattr(held, name), 0.0
        setattr(held, name, self)

    def __call__(self, *values: Any) -> Any:
        start = time.perf_counter()
        try:
            return self.function(*values)
        finally:
            self.seconds += time.perf_counter() - start


CLIENT_MODULE = "flwr.client.mod.secure_aggregation.secaggplus_mod"
ENCODERS = [Stopwatch(CLIENT_MODULE, name) for name in ("parameters_multiply", "quantize")]


class Network:
    """Stands where Flower's grid stands and carries messages between the workflow and the clients.

    Args:
        vectors: A client's update, by its node id.
        nodes: The clients' node ids.
        lost: Clients that stop answering ...
        lost_at: ... when they are asked for this stage.
        weight: The number of examples each client claims.
    """

    def __init__(
        self,
        vectors: Callable[[int], Vector],
        nodes: Iterable[int],
        *,
        lost: Iterable[int] = (),
        lost_at: str = Stage.COLLECT_MASKED_VECTORS,
        weight: int = 500,
    ) -> None:
        self.vectors, self.weight = vectors, weight
        self.contexts = {node: new_context(node) for node in nodes}
        self.lost, self.lost_at = frozenset(lost), lost_at
        self.gone: set[int] = set()
        self.errors: list[str] = []
        self.client_seconds: defaultdict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.upload_bytes: defaultdict[int, int] = defaultdict(int)
        self.seconds_inside = 0.0

    def on_request(self, stage: str, node: int, configs: Configs) -> None:
        """What a dishonest server would change before a client sees its request."""

    def on_reply(self, stage: str, node: int, configs: Configs) -> None:
        """What a dishonest party would read or change before the workflow sees a reply."""

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:  # noqa: ARG002
        entered = time.perf_counter()
        replies = [reply for message in messages if (reply := self.ask(message)) is not None]
        self.seconds_inside += time.perf_counter() - entered
        return replies

    def ask(self, message: Message) -> Message | None:
        node = message.metadata.dst_node_id
        # Through Flower's own wire form, so that no two parties share an object.
        content = recorddict_from_proto(recorddict_to_proto(message.content))
        configs = content.config_records[RECORD_KEY_CONFIGS]
        stage = str(configs[Key.STAGE])
        if stage == self.lost_at and node in self.lost:
            self.gone.add(node)
        if node in self.gone:
            return None
        self.on_request(stage, node, configs)
        request = Message(
            content,
            dst_node_id=node,
            message_type=message.metadata.message_type,
            group_id=message.metadata.group_id,
        )
        training = 0.0

        def train(asked: Message, _: Context) -> Message:
            nonlocal training
            start = time.perf_counter()
            result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([self.vectors(node)]), self.weight, {})
            answer = Message(recorddict_compat.fitres_to_recorddict(result, keep_input=False), reply_to=asked)
            training = time.perf_counter() - start
            return answer

        start, encoding = time.perf_counter(), sum(encoder.seconds for encoder in ENCODERS)
        try:
            reply = secaggplus_mod(request, self.contexts[node], train)
        except Exception as error:  # noqa: BLE001 - whatever a client app raises, Flower sends as an error reply
            self.errors.append(f"{stage}: {error!r}")
            return Message(Error(0, repr(error)), reply_to=request)
        seconds, encoding = time.perf_counter() - start, sum(encoder.seconds for encoder in ENCODERS) - encoding
        self.client_seconds[node][stage] += seconds - training - encoding
        self.client_seconds[node][ENCODE] += encoding
        wire = recorddict_to_proto(reply.content)
        self.upload_bytes[node] += wire.ByteSize()
        reply.content = recorddict_from_proto(wire)
        self.on_reply(stage, node, reply.content.config_records[RECORD_KEY_CONFIGS])
        return reply


def new_context(node: int) -> Context:
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


class Recorder(FedAvg):
    """Asks every client and keeps what the workflow hands over."""

    def __init__(self, nodes: Iterable[int]) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        self.mean: NDArray[np.float64] | None = None

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[tuple[Any, FitIns]]:  # noqa: ARG002
        return [(SimpleNamespace(node_id=node, cid=str(node)), FitIns(parameters, {})) for node in self.nodes]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return results[0][1].parameters, {}


@dataclass(frozen=True)
class Outcome:
    """What the server ends with: the weighted mean, or None and the reason; its seconds by stage; its threshold."""

    mean: NDArray[np.float64] | None
    reason: str
    server_seconds: dict[str, float]
    threshold: int


def run_round(network: Network, *, shares: int, threshold: float = 0.6, **ranges: int) -> Outcome:
    """One round of Flower's workflow, stage by stage, over `network`; `ranges` go to the workflow's constructor."""
    strategy = Recorder(network.contexts)
    context = LegacyContext(context=new_context(0), strategy=strategy)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord([np.zeros(1, np.float32)])
    num_shares = 1.0 if shares >= len(network.contexts) else shares
    workflow = SecAggPlusWorkflow(num_shares, threshold, max_weight=MAX_WEIGHT, **ranges)
    state, seconds, reason = WorkflowState(), {}, ""
    stages = (
        (Stage.SETUP, workflow.setup_stage),
        (Stage.SHARE_KEYS, workflow.share_keys_stage),
        (Stage.COLLECT_MASKED_VECTORS, workflow.collect_masked_vectors_stage),
        (Stage.UNMASK, workflow.unmask_stage),
    )
    gc.collect()  # so that the garbage of the set-up is not counted
    for name, stage in stages:
        start, inside = time.perf_counter(), network.seconds_inside
        try:
            if not stage(cast(Grid, network), context, state):
                reason = f"halted in {name}"
        except Exception as error:  # noqa: BLE001 - a benchmark reports how a peer ends, whatever it raises
            reason = f"{name}: {error!r}"
        seconds[name] = time.perf_counter() - start - (network.seconds_inside - inside)
        if reason:
            break
    return Outcome(strategy.mean, reason, seconds, state.threshold)


def by_stage(clients: list[Mapping[str, float]], average: Callable[[list[float]], float]) -> dict[str, float]:
    stages = {stage: average([seconds[stage] for seconds in clients]) for stage in (*Stage.all(), ENCODE)}
    masking = average([sum(seconds.values()) - seconds[ENCODE] for seconds in clients])
    return stages | {"masking": masking, "total": average([sum(seconds.values()) for seconds in clients])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("clients", "shares", "dimension"):
        parser.add_argument(name, type=int)
    parser.add_argument("dropout", type=float)
    args = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    nodes = range(1, args.clients + 1)
    lost = nodes[: int(args.dropout * args.clients)]
    base = np.random.default_rng(0).normal(0, 0.05, args.dimension).astype(np.float32)
    network = Network(lambda node: np.roll(base, node), nodes, lost=lost)
    outcome = run_round(network, shares=args.shares)
    if outcome.mean is None:
        raise SystemExit(f"the round failed: {outcome.reason}; clients: {network.errors[:1]}")
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    survivors = [node for node in nodes if node not in lost]
    expected = sum(np.roll(base, node).astype(np.float64) for node in survivors) / len(survivors)
    error = float(np.abs(outcome.mean - expected).max())
    if error > 1e-3:
        raise SystemExit(f"wrong mean: {error} away")
    seconds: list[Mapping[str, float]] = [network.client_seconds[node] for node in survivors]
    result = {
        "client_seconds": by_stage(seconds, statistics.median),
        "client_seconds_mean": by_stage(seconds, statistics.fmean),
        "server_seconds": outcome.server_seconds | {"total": sum(outcome.server_seconds.values())},
        "upload_bytes_per_client": statistics.median(network.upload_bytes[node] for node in survivors),
        "max_error": error,
        "peak_memory_bytes": peak,
        "params": vars(args) | {"threshold": outcome.threshold, "dropped": len(lost)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
