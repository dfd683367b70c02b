# SPDX-License-Identifier: Apache-2.0
"""The round: adapt, clip, encode, noise, mask, sum, decode, update, account.

`client` and `server` are sans-IO: they take bytes and return `Step`s. `simulation` and `pipes` are shells around them.
`identities` holds the parties' keys, `conduct` what the server can prove against a site.
"""
