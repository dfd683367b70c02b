"""Flower's grid in this process: its own messages and contexts, a node a site, and nothing that waits."""

from flwr.app import Context, Error, Message, RecordDict

from secure_fedmeta.flower import site_app


class Grid:
    """Flower's grid, its nodes and their states, in this process."""

    def __init__(self, homes):
        self.homes = dict(homes)  # node -> folder
        self.states = {node: RecordDict() for node in self.homes}
        self.down = set()
        self.broken = set()
        self.app = site_app()
        self.seen = []

    def get_node_ids(self):
        return [node for node in self.homes if node not in self.down]

    def send_and_receive(self, messages, *, timeout=None):
        assert timeout is not None
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            assert message.metadata.message_type == "query.secure_fedmeta"
            self.seen.append(message.content)
            if node in self.down:
                continue
            asked = message
            context = Context(1, node, {"site": str(self.homes[node])}, self.states[node], {})
            if node in self.broken:
                reply = Message(Error(code=1, reason="boom"), reply_to=asked)
            else:
                reply = self.app(asked, context)
            self.states[node] = context.state
            replies.append(reply)
        return replies
