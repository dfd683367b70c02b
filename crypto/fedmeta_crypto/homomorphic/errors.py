# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in rounds whose vectors travel encrypted; the tree with all numbers: `fedmeta_crypto.errors`."""

from fedmeta_crypto.errors import LocalProtocolError, PeerProtocolError, ProtocolError


class BadSelection(LocalProtocolError):
    """A selection of coordinates hides nothing, or does not fit the vector or the round.

    Cause: No coordinate is selected, or the selection is of another length than the vector.
    """

    code = "SFM-216"
    remedy = "Select at least one coordinate, with one boolean for each coordinate of the round's vector."


class NativeRefusal(LocalProtocolError):
    """The native library refused what it was given, in a process of its own; this side goes on.

    Cause: A release of TenSEAL with other formats, or bytes that it does not take.
    """

    code = "SFM-212"
    remedy = "See that all parties run releases of TenSEAL that this release was tested with."


class NoiseSpent(LocalProtocolError):
    """A sum of ciphertexts has no noise budget left, so its words could be wrong and are not shown.

    Cause: More ciphertexts, or noisier ones, than the parameters hold.
    """

    code = "SFM-213"
    remedy = "The round is lost and has shown nothing; no honest upload has such noise, so look at who took part."


class KeyInReach(LocalProtocolError):
    """An aggregator holds no key and sits beside none.

    Cause: Both servers of the split run as one party, or a key that was passed on by mistake.
    """

    code = "SFM-214"
    remedy = "Give the aggregator the proposal's bytes only; run the decryptor as another party, elsewhere."


class KeySpent(LocalProtocolError):
    """The decryptor has opened this round's one sum, or has wiped its key.

    Cause: A second sum is asked for, or the decryptor was restarted.
    """

    code = "SFM-215"
    remedy = "Begin a new round, which has a new key; what was uploaded under the old one stays closed."


class WrongSelection(PeerProtocolError):
    """An upload whose clear part is missing, or is not the one that its signature covers.

    Cause: A client with another plan or selection, or a part altered on the way.
    """

    code = "SFM-250"
    remedy = "Drop the message; check that all parties hold the same plan."


class WrongKey(PeerProtocolError):
    """The key offered is not the one that the announcement names, or not a public key of this scheme.

    Cause: An aggregator that puts its own key in, or a decryptor of another round.
    """

    code = "SFM-242"
    remedy = "Do not take part: encrypt under no key but the announced one, of this round's decryptor."


class WrongAttachment(PeerProtocolError):
    """The ciphertext is not the one that the masked input vouches for.

    Cause: A ciphertext exchanged or altered between client and aggregator.
    """

    code = "SFM-243"
    remedy = "Drop the message; its author encrypts anew under this round's key, or misses the round."


class OtherSubset(PeerProtocolError):
    """The survivors are not exactly those whose ciphertexts were added: one is missing, or one too many.

    Cause: An aggregator that dropped, added or repeated an upload.
    """

    code = "SFM-244"
    remedy = "Nothing was opened; look at how the aggregator passes uploads on, and run the round again."


class LoneCiphertext(PeerProtocolError):
    """A sum over too few clients, or a single ciphertext, is to be opened.

    Cause: An aggregator that tries to have one upload opened.
    """

    code = "SFM-245"
    remedy = "Nothing was opened; an aggregator that asks for this breaks the protocol."


class RepeatedRound(PeerProtocolError):
    """The decryptor's memory says that it has begun this round, or a later one.

    Cause: An aggregator that replays a round, or one that was restored from a backup.
    """

    code = "SFM-246"
    remedy = "Announce a round with a larger number; rounds are never begun twice."


class SecondSubset(PeerProtocolError):
    """A second set of survivors of one round: two sums would differ by what one client sent.

    Cause: An aggregator that asks again with other survivors.
    """

    code = "SFM-247"
    remedy = "Only the first is opened, if at all; an aggregator that asks for another breaks the protocol."


class WrongOpening(PeerProtocolError):
    """The decryptor's words are not of this round's form, or are for other survivors.

    Cause: A decryptor of another release, damage on the way, or a lie.
    """

    code = "SFM-248"
    remedy = "Drop the message; if no other comes, the round is lost and has shown nothing."


class NoCiphertext(PeerProtocolError):
    """A masked input of a round with ciphertexts came without one.

    Cause: A client that believes that the round has masks alone.
    """

    code = "SFM-249"
    remedy = "Drop the message; clients of such a round send a parcel."


class DecryptorSilent(ProtocolError):
    """The decryptor did not offer its key, or did not open the sum, before the deadline.

    Cause: The decryptor is not running, not reachable or too slow.
    """

    code = "SFM-252"
    remedy = "Nothing was opened; see that the decryptor runs, and announce a new round."


class DecryptionFailed(ProtocolError):
    """The sum of ciphertexts holds more noise than its clients' errors can come to.

    Cause: A client whose errors are larger than the scheme's, by mistake or on purpose.
    """

    code = "SFM-253"
    remedy = "Some upload was not made as the scheme says, and the sum is lost; run another round."


class NativeProcessDied(ProtocolError):
    """The process in which the native library runs has crashed, met its limits, or did not answer in time.

    Cause: Too little memory or time for this size, or a library that is broken here; `secure-fedmeta doctor` tries
    it.
    """

    code = "SFM-254"
    remedy = "Nothing was opened; give it more memory or time, or announce a new round."
