# SPDX-License-Identifier: Apache-2.0
"""A vector that lies about its sizes: bare TenSEAL returns heap memory or crashes; here no size is on the wire.

The attacks run on bare TenSEAL in processes of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedmeta_crypto.errors import Oversized, Truncated
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv

SUPPORT = Path(__file__).parents[2] / "support"
BARE = """
import sys, tenseal as ts
sys.path.insert(0, {support!r})
from seal_bfv import fresh_context, varint
context = fresh_context()
good = ts.bfv_vector(context, [7] * 4096).serialize()
sizes = b"".join(map(varint, {sizes}))
lie = (b"\\x0a" + varint(len(sizes)) + sizes if sizes else b"") + good[4:]
values = ts.bfv_vector_from(context, lie).decrypt()
print(len(values), sum(v != 7 for v in values))
"""


def bare(sizes):
    code = BARE.format(support=str(SUPPORT), sizes=sizes)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)


def test_bare_tenseal_returns_what_lies_beyond():
    done = bare([4608])
    assert done.returncode == 0
    assert done.stdout.split()[0] == "4608"  # 512 values of memory that no ciphertext held


def test_bare_tenseal_crashes():
    assert bare([2**32 - 1]).returncode < 0 or bare([2**31]).returncode < 0 or bare([2**28]).returncode < 0


@pytest.mark.parametrize("sizes", [[4096], [4608], [4096, 4000000], [2**32 - 1], []])
def test_tenseals_own_containers_are_refused(sizes):
    """Honest ones too: they are not this project's form."""
    import tenseal as ts
    from seal_bfv import fresh_context, varint

    good = ts.bfv_vector(fresh_context(), [7] * 4096).serialize()
    head = b"".join(map(varint, sizes))
    lie = b"\x0a" + varint(len(head)) + head + good[4:]
    cipher = TensealBfv()
    need = cipher.ciphertext_bytes(4096)
    with pytest.raises(Oversized):
        cipher.check_ciphertext(lie, words=4096, sender=3)
    with pytest.raises(Truncated):
        cipher.check_ciphertext(lie[: need - 1], words=4096, sender=3)
