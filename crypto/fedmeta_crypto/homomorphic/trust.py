# SPDX-License-Identifier: Apache-2.0
"""Who could decrypt what: the trust model that every encrypted sum names.

Source: the two attacks on an unmasked split are run in `tests/attacks/crypto`; what a published CKKS decryption reveals
about the key is in Li and Micciancio, Eurocrypt 2021 (ePrint 2020/1533).
"""

import enum


class TrustModel(enum.Enum):
    """Who holds which key, who could therefore read what, and against whom the server's epsilon may be claimed.

    Example:
        >>> TrustModel.SPLIT_MASKED.sum_only, TrustModel.SHARED_KEY.sum_only
        (True, False)
    """

    SPLIT_MASKED = "split, masked"
    SPLIT = "split"
    THRESHOLD = "threshold"
    SHARED_KEY = "shared key"

    @property
    def sum_only(self) -> bool:
        """Whether no single party could read one client's vector, so that noise may be counted over the whole sum."""
        return self in (TrustModel.SPLIT_MASKED, TrustModel.THRESHOLD)

    @property
    def who_could_read(self) -> str:
        """One sentence for reports and notebooks.

        Example:
            >>> print(TrustModel.SPLIT.who_could_read)
            The decryptor holds the key and every upload and could read each; one bad client can make the opened sum ...
        """
        return _WHO[self]


_WHO = {
    TrustModel.SPLIT_MASKED: (
        "The decryptor holds the round's key and opens masked words only; the aggregator learns the sum and holds no "
        "key. Together they learn no more than the sum either: single words stay masked."
    ),
    TrustModel.SPLIT: (
        "The decryptor holds the key and every upload and could read each; one bad client can make the opened sum "
        "equal to another client's vector, or to the key. Holds only if all parties are honest but curious and the "
        "decryptor is trusted not to open single uploads."
    ),
    TrustModel.THRESHOLD: (
        "Nobody holds a key that opens a single upload; the server learns the sum of the clients' keys through "
        "masking, and with it the sum of their vectors. Research grade: own lattice code, not audited by others."
    ),
    TrustModel.SHARED_KEY: (
        "Every client holds the one key: any client that sees another's upload reads it. No privacy among clients."
    ),
}
