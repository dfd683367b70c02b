"""Who was excluded and why stands on the terminal, in the ledger and in the report, by name."""

import json

import pytest

from fedmeta_crypto import Step
from fedmeta_crypto.messages import SealedShares
from fedmeta_crypto.secagg.step import Outgoing
from fedmeta_crypto.wire import MessageType, Reader, claimed_type, frame, unframe
from fedmeta_privacy.ledger import verify
from secure_fedmeta import parties
from secure_fedmeta.cli import main
from secure_fedmeta.federation.simulation import LocalSite


class Liar(LocalSite):
    """Site 3 signs a list of shares that leaves one out."""

    def receive(self, message):
        step = super().receive(message)
        if self.client.client_id != 3:
            return step
        return Step(step.persist, tuple(Outgoing(o.to, self.bent(o.message)) for o in step.send), step.events)

    def bent(self, message):
        if claimed_type(message) != MessageType.SHARES:
            return message
        header, payload = unframe(message, sender=3, max_bytes=len(message), signed=True)
        boxes = SealedShares.read(Reader(payload, sender=3, where="test")).boxes[1:]
        return frame(header, SealedShares(boxes).payload(), self.client._credentials.identity.sign)


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parties, "LocalSite", Liar)
    out = tmp_path / "run"
    assert main(["run", "hospital", "--rounds", "3", "--planned-survivors", "9", "--out", str(out)]) == 0
    return capsys.readouterr().out, out


def test_by_name_and_with_the_reason(told):
    text, out = told
    why = "it signed a message that no honest site sends: not one box for every neighbour"
    assert f"site 3 is excluded from now on: {why}" in text and f"excluded: hospital-03: {why}" in text
    assert "stopped early" not in text and text.count(" 9/10 ") == 3
    page = (out / "report.html").read_text()
    assert f"<strong>hospital-03</strong> was excluded: {why}." in page and "Who broke the protocol" in page
    lines = verify((out / "ledger.jsonl").read_bytes())
    assert lines[-1]["body"]["excluded"] == {"hospital-03": why}
    assert [line["body"]["excluded"] for line in lines if line["type"] == "round"] == [{"3": why}] * 3
    assert json.loads(json.dumps(lines[1]["body"]["findings"])) == [f"site 3 is excluded from now on: {why}"]
