# SPDX-License-Identifier: Apache-2.0
"""Masked split: masked words under the public key of a decryptor, which opens their sum and never sees the sum's value.

Who holds what (`TrustModel.SPLIT_MASKED`): clients their vectors and masks; the aggregator (`aggregator.AddingServer`)
the masks' residue and no key; the decryptor (`decryptor.Decryptor`, id `wire.DECRYPTOR`) the round's key and no
residue.

    decryptor -> aggregator   proposal: a fresh public key for round r; its hash goes into M0
    aggregator -> decryptor   M0
    decryptor -> aggregator   offer: the same key, signed for the session of that M0
    aggregator -> clients     announcement: M0 and the offer in one message
    M1 .. M4                  as in any round
    client -> aggregator      parcel: M5, commitment, ciphertext of the masked words; passed on to the decryptor at once
    aggregator -> all         M6, M8, to the decryptor too
    decryptor -> aggregator   opened: the masked words' sum, signed for the session and its survivors
    M9                        as in any round: the aggregator opens the residue and subtracts it
"""
