# SPDX-License-Identifier: Apache-2.0
"""BFV on TenSEAL: keys and ciphertexts travel as bare coefficients, and native code runs in a child process only.

No foreign byte that describes a structure reaches the native library: a key or a ciphertext on the wire is its
coefficients, packed, each checked to be below its prime (`coefficients`). Headers, sizes and parameters are this side's
own (`native`). Sums are taken here, modulo q; the library sees nothing of an upload but its part of the sum.
"""
