# SPDX-License-Identifier: Apache-2.0
"""LEAF's sets (Caldas et al. 2018, arXiv 1812.01097v3) in LEAF's own JSON layout, read user by user.

    open_split(directory, "train")            index: names, counts, offsets
    leaf_users(directory, "train", Femnist()) arrays, one user at a time
    sampling                                  LEAF's sample, remove_users and split_data
    models                                    LEAF's reference models in torch

Formats and figures were read in TalwalkarLab/leaf at 09ec454. The sets themselves are not part of this package.
"""

from secure_fedmeta.datasets.leaf.scan import LeafError
from secure_fedmeta.datasets.leaf.sets import (
    IGNORED,
    CelebA,
    Femnist,
    LeafSet,
    LeafUsers,
    Reddit,
    Sent140,
    Shakespeare,
    Synthetic,
    leaf_users,
)
from secure_fedmeta.datasets.leaf.split import LeafSplit, RawUser, open_split
from secure_fedmeta.datasets.leaf.words import ALPHABET, UNKNOWN_LETTER, Vocabulary, glove, reddit_vocabulary

__all__ = [
    "ALPHABET",
    "IGNORED",
    "UNKNOWN_LETTER",
    "CelebA",
    "Femnist",
    "LeafError",
    "LeafSet",
    "LeafSplit",
    "LeafUsers",
    "RawUser",
    "Reddit",
    "Sent140",
    "Shakespeare",
    "Synthetic",
    "Vocabulary",
    "glove",
    "leaf_users",
    "open_split",
    "reddit_vocabulary",
]
