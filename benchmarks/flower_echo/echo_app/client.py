"""Answers with as many bytes as it is told."""

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def echo(message: Message, context: Context) -> Message:  # noqa: ARG001
    size = int(message.content["letter"]["back"])
    return Message(RecordDict({"letter": ConfigRecord({"bytes": bytes(size)})}), reply_to=message)
