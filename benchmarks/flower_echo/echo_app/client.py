"""Answers with as many bytes as it is told; where it is told to train, it loads what private training needs."""

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def echo(message: Message, context: Context) -> Message:  # noqa: ARG001
    if message.content["letter"]["trains"]:
        import opacus  # noqa: F401
    size = int(message.content["letter"]["back"])
    return Message(RecordDict({"letter": ConfigRecord({"bytes": bytes(size)})}), reply_to=message)
