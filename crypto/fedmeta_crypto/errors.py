# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in a round, and whose doing it is.

    ProtocolError                     abstract: code, what, where, remedy
    |-- LocalProtocolError            you broke a rule
    |   |-- OutOfOrder        SFM-201   a call the session is not ready for
    |   |-- MaskReuse         SFM-202   a mask may cover one vector only
    |   |-- WrongLength       SFM-203   vector of another length
    |   |-- OutOfRing         SFM-204   vector of another type, or values >= 2^b
    |   |-- PlanRefused       SFM-205   parameters that are unsound, or that your policy forbids
    |   |-- BadEntropy        SFM-206   the entropy source gave the wrong number of bytes
    |   |-- KeystreamExhausted SFM-207  one key may not give more
    |   |-- BadArgument       SFM-208   a key, a share or a policy of impossible form
    |   |-- NativeRefusal     SFM-212   the native library refused what it was given
    |   |-- NoiseSpent        SFM-213   a sum of ciphertexts has no noise budget left
    |   |-- KeyInReach        SFM-214   an aggregator beside a key that opens uploads
    |   |-- KeySpent          SFM-215   the decryptor's key of this round is gone
    |   `-- BadSelection      SFM-216   a selection of coordinates that hides nothing or does not fit
    |-- PeerProtocolError(sender)     a peer broke a rule
    |   |-- Truncated         SFM-221   bytes are missing
    |   |-- Oversized         SFM-222   more bytes than this round could need
    |   |-- BadMessage        SFM-223   not the canonical form, or contents that contradict the round
    |   |-- Unsupported       SFM-224   a version, type or strength that this release does not speak
    |   |-- WrongSession      SFM-225   made for other parameters
    |   |-- WrongRound        SFM-226   made for another round, or a round already seen
    |   |-- Stranger          SFM-227   not a member of this round
    |   |-- SpoofedSender     SFM-228   the header names someone else than the transport does
    |   |-- Repeated          SFM-229   a second message where one is allowed
    |   |-- Unexpected        SFM-230   a message for another phase
    |   |-- InconsistentRoster SFM-231  the server's lists contradict each other or the parameters
    |   |-- BadKey            SFM-232   a public key that is weak, copied or not canonical
    |   |-- BadShare          SFM-233   shares that do not open what was committed to (dealer or holder)
    |   |-- UnsafeSurvivors   SFM-234   a survivor list that would expose someone
    |   |-- BadSignature      SFM-235   a signature that is missing or not the named party's on this
    |   |-- Equivocation      SFM-236   proof that clients were shown different survivors
    |   |-- WrongKey          SFM-242   a round key that is not the announced one, or no public key of this scheme
    |   |-- WrongAttachment   SFM-243   a ciphertext other than the masked input names: other scheme, key or bytes
    |   |-- OtherSubset       SFM-244   survivors are not exactly those whose ciphertexts were added
    |   |-- LoneCiphertext    SFM-245   a sum over fewer clients than were announced is to be opened
    |   |-- RepeatedRound     SFM-246   the decryptor has begun this round, or a later one, before
    |   |-- SecondSubset      SFM-247   a second set of survivors in one round
    |   |-- WrongOpening      SFM-248   opened words of another form, or for other survivors
    |   |-- NoCiphertext      SFM-249   a masked input that came without its ciphertext
    |   `-- WrongSelection    SFM-250   an upload whose clear part is missing or not what it is bound to
    |-- TooFewSurvivors(need, have)   SFM-251   the world: not enough parties are left
    |-- DecryptorSilent               SFM-252   the world: the decryptor did not answer in time
    |-- DecryptionFailed              SFM-253   the world: a sum of ciphertexts that does not open
    `-- NativeProcessDied             SFM-254   the world: the process with the native library ended or was too slow

No error text holds a secret, and an authentication failure says no more than that it failed.
"""

from typing import ClassVar


class ProtocolError(Exception):
    """Anything that stops a message, a call or a round.

    Attributes:
        code: Stable number, ``SFM-200`` to ``SFM-299``.
        what: What happened, in one clause.
        where: The message or call at which it happened; may be empty.
        remedy: What to do about it.
    """

    code: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, what: str, *, where: str = "") -> None:
        if not hasattr(type(self), "code"):
            raise TypeError(f"{type(self).__name__} is abstract: raise one of its named kinds")
        self.what = what
        self.where = where
        super().__init__(what)

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"{self.code} {type(self).__name__}{place}: {self.what}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all attributes when the error crosses to another process."""
        return _rebuild, (type(self), self.args, dict(vars(self)))


def _rebuild(kind: type[ProtocolError], args: tuple[object, ...], state: dict[str, object]) -> ProtocolError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(state)
    return error


class LocalProtocolError(ProtocolError):
    """The caller on this side broke a rule."""


class OutOfOrder(LocalProtocolError):
    """The session is not ready for this call, or is over.

    Cause: A method called twice, too early, or after the session ended.
    """

    code = "SFM-201"
    remedy = "Call the session's methods in the order of the round; begin a new session for a new round."


class MaskReuse(LocalProtocolError):
    """Two vectors under one mask would reveal their difference.

    Cause: One session asked to mask a second vector.
    """

    code = "SFM-202"
    remedy = "A session masks one vector; take part in a new round for another."


class WrongLength(LocalProtocolError):
    """The vector has another shape than the round's.

    Cause: A model of another size than was announced.
    """

    code = "SFM-203"
    remedy = "Encode exactly `parameters.length` values in one dimension."


class OutOfRing(LocalProtocolError):
    """The vector is not uint32 or holds values >= 2^b.

    Cause: Floats, signed integers, or an encoding that was not reduced.
    """

    code = "SFM-204"
    remedy = "Encode to uint32 and reduce modulo 2**modulus_bits before masking."


class PlanRefused(LocalProtocolError):
    """The round's parameters are unsound, or the local policy forbids them.

    Cause: A threshold, graph or modulus below what the site's own plan works out.
    """

    code = "SFM-205"
    remedy = "Do not take part; ask the operator why the round was announced so."


class BadEntropy(LocalProtocolError):
    """The entropy source did not give what was asked.

    Cause: A generator of the caller's own that returns too little or something else than bytes.
    """

    code = "SFM-206"
    remedy = "Pass a function that returns exactly n fresh random bytes, such as os.urandom."


class KeystreamExhausted(LocalProtocolError):
    """A 32-bit block counter must not wrap.

    Cause: One key used for more than 64 GiB.
    """

    code = "SFM-207"
    remedy = "Use one key for at most 2**32 - 2 blocks of 16 bytes."


class BadArgument(LocalProtocolError):
    """A key, share set or policy has an impossible form.

    Cause: A key of the wrong size, shares with one index twice, or a policy that nothing satisfies.
    """

    code = "SFM-208"
    remedy = "Correct the call; the clause above names the argument."


class PeerProtocolError(ProtocolError):
    """A peer broke a rule; the receiving session is left as it was.

    Attributes: sender, the id of the peer that is answerable, ``SERVER`` (0xFFFFFFFF) for the server.
    """

    def __init__(self, what: str, *, sender: int, where: str = "") -> None:
        super().__init__(what, where=where)
        self.sender = sender

    def __str__(self) -> str:
        who = {0xFFFFFFFF: "the server", 0xFFFFFFFE: "the decryptor"}.get(self.sender, f"party {self.sender}")
        return f"{super().__str__()} (sender: {who})"


class Truncated(PeerProtocolError):
    """Bytes are missing.

    Cause: A connection that broke off, or a peer that writes wrong lengths.
    """

    code = "SFM-221"
    remedy = "Drop the message; check the transport."


class Oversized(PeerProtocolError):
    """More bytes than this round could need.

    Cause: A peer of another release or plan, or an attempt to exhaust memory.
    """

    code = "SFM-222"
    remedy = "Drop the message; nothing was allocated for it."


class BadMessage(PeerProtocolError):
    """Not canonical, or contents that contradict the round.

    Cause: A peer of another release, damage on the way, or a lie.
    """

    code = "SFM-223"
    remedy = "Drop the message."


class Unsupported(PeerProtocolError):
    """A version, suite, message type or strength that this release does not speak.

    Cause: Parties with different releases, or one that asks for a downgrade.
    """

    code = "SFM-224"
    remedy = "Run the same release at all parties."


class WrongSession(PeerProtocolError):
    """Made for other round parameters.

    Cause: A party that holds another plan, or a message replayed from another run.
    """

    code = "SFM-225"
    remedy = "Drop the message; it may be a replay."


class WrongRound(PeerProtocolError):
    """Made for another round, or for one that is already past.

    Cause: A late or replayed message.
    """

    code = "SFM-226"
    remedy = "Drop the message; it may be a replay."


class Stranger(PeerProtocolError):
    """Not a member of this round.

    Cause: A party that is not on this round's list.
    """

    code = "SFM-227"
    remedy = "Drop the message; members are fixed when the round is announced."


class SpoofedSender(PeerProtocolError):
    """Header and transport disagree on who sent this.

    Cause: A peer that writes another's id into its header, or a transport that mixes connections up.
    """

    code = "SFM-228"
    remedy = "Drop the message and look at the connection it came by."


class Repeated(PeerProtocolError):
    """A second message where one is allowed.

    Cause: A transport that sends again, or a peer that tries to change its word.
    """

    code = "SFM-229"
    remedy = "Drop it; the first one counts, and a session answers once."


class Unexpected(PeerProtocolError):
    """A message for another phase, or from one who left the round.

    Cause: A party that is late or ahead of the round.
    """

    code = "SFM-230"
    remedy = "Drop it; a late party waits for the next round."


class InconsistentRoster(PeerProtocolError):
    """The server's lists contradict each other, the parameters or my own advertisement.

    Cause: A server that shows other keys or members than were advertised, or one that is damaged.
    """

    code = "SFM-231"
    remedy = "Abort the session; send nothing more in this round."


class BadKey(PeerProtocolError):
    """A public key that is weak, copied or not canonical.

    Cause: A peer that sends a point of small order or somebody else's key.
    """

    code = "SFM-232"
    remedy = "Drop the message; if it is the roster, abort the session."


class BadShare(PeerProtocolError):
    """Shares do not open what their dealer committed to.

    Cause: A dealer or more holders than can be corrected lied, or their memory is damaged.

    Either the dealer dealt badly or holders lied, more than can be corrected: (r - threshold) // 2 of
    the r shares received. So all are named and nobody is blamed alone.

    Attributes: sender, the dealer; holders, those whose shares were received.
    """

    code = "SFM-233"
    remedy = "The round is lost and nothing was opened; run it again, and watch this pair."

    def __init__(self, what: str, *, sender: int, holders: tuple[int, ...], where: str = "") -> None:
        super().__init__(what, sender=sender, where=where)
        self.holders = holders


class UnsafeSurvivors(PeerProtocolError):
    """A survivor list that would expose someone.

    Cause: A server that asks for more than one set of survivors could need, or names too few.
    """

    code = "SFM-234"
    remedy = "Abort the session; it keeps its secrets and answers nothing."


class BadSignature(PeerProtocolError):
    """A signature is missing, or is not the named party's on this message.

    Cause: A wrong allow-list, a message altered on the way, or somebody who speaks in another's name.
    """

    code = "SFM-235"
    remedy = "Drop the message; if it came in the server's list, abort the session."


class Equivocation(PeerProtocolError):
    """A client's valid signature on other survivors than mine: the server, or that client, lied to one of us.

    Cause: A server that shows different survivors to different clients, or a client that signed twice.
    """

    code = "SFM-236"
    remedy = "The session has wiped its secrets and answered nothing; leave, and show the message to the others."


class TooFewSurvivors(ProtocolError):
    """Not enough parties are left to go on, by nobody's fault.

    Cause: More parties fell silent than the plan's dropout fraction allows.

    Attributes:
        need: Fewest parties (or good shares) with which this phase can close.
        have: How many there are.
        phase: Name of the phase.
    """

    code = "SFM-251"
    remedy = "Nothing was opened; announce a new round, with a lower threshold only if the policy allows it."

    def __init__(self, *, need: int, have: int, phase: str) -> None:
        super().__init__(f"{phase} needs {need}, has {have}", where=phase)
        self.need = need
        self.have = have
        self.phase = phase
