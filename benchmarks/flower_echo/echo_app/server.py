"""Sends letters of the given sizes to all nodes, phase by phase, and prints the seconds of each phase."""

import json
import time

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    while len(nodes := list(grid.get_node_ids())) < int(context.run_config["sites"]):
        time.sleep(0.2)
    trains = int(context.run_config["trains"])  # of a round's exchanges, from 1; 0 for none
    phases = str(context.run_config["sizes"]).split()
    for number, phase in enumerate(phases):
        out, back = map(int, phase.split("/"))
        now = trains > 0 and number % int(context.run_config["phases"]) == trains - 1
        record = RecordDict({"letter": ConfigRecord({"bytes": bytes(out), "back": back, "trains": now})})
        letters = [Message(record, dst_node_id=node, message_type="query") for node in nodes]
        start = time.perf_counter()
        replies = list(grid.send_and_receive(letters, timeout=300))
        assert len(replies) == len(nodes) and not any(reply.has_error() for reply in replies)
        print(json.dumps({"echo": time.perf_counter() - start}), flush=True)
