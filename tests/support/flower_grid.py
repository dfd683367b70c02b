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
        self.replies = {}
        self.away = 0  # so many times nothing can be pulled

    def get_node_ids(self):
        return [node for node in self.homes if node not in self.down]

    def push_messages(self, messages):
        names = []
        for message in messages:
            node = message.metadata.dst_node_id
            assert message.metadata.message_type == "query.secure_fedmeta"
            self.seen.append(message.content)
            names.append(f"message-{len(self.seen)}")
            if node in self.down:
                continue
            context = Context(1, node, {"site": str(self.homes[node])}, self.states[node], {})
            if node in self.broken:
                reply = Message(Error(code=1, reason="boom"), reply_to=message)
            else:
                reply = self.app(message, context)
            self.states[node] = context.state
            reply.metadata.__dict__["_reply_to_message_id"] = names[-1]  # as the SuperLink has it
            self.replies[names[-1]] = reply
        return names

    def pull_messages(self, names):
        if self.away:
            self.away -= 1
            raise ConnectionError("the SuperLink is started again")
        return [self.replies.pop(name) for name in list(names) if name in self.replies]

    def ask(self, message):
        """One message and its reply."""
        (name,) = self.push_messages([message])
        return self.replies.pop(name)
