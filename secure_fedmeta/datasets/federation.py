# SPDX-License-Identifier: Apache-2.0
"""The records of a pilot: sites that train, each with later persons for the evaluation, and sites that come later."""

from __future__ import annotations

from dataclasses import dataclass

from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.records import SiteRecords


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A site that trains: its registered persons, and others, which only the evaluation sees."""

    name: str
    registered: SiteRecords
    unseen: SiteRecords


@dataclass(frozen=True, slots=True, eq=False)
class Federation:
    """Members that train together, and whole sites that come later.

    Attributes:
        name: of the data, without spaces.
        codebook: public ranges of all sites' features.
        members, later: the sites.
        generated: True if no record is of a real person; said wherever the data are named.
        source: where the records come from, in a sentence that fits into a report.

    >>> from secure_fedmeta.datasets.hospital import load_hospitals
    >>> held = load_hospitals(seed=0)
    >>> held.name, len(held.members), len(held.later), held.persons, held.generated
    ('breast-fna', 10, 2, 569, False)
    """

    name: str
    codebook: Codebook
    members: tuple[Member, ...]
    later: tuple[SiteRecords, ...]
    generated: bool
    source: str

    @property
    def persons(self) -> int:
        """Persons at all sites, each counted once at each site."""
        parts = [part for m in self.members for part in (m.registered, m.unseen)]
        return sum(len(set(part.ids)) for part in (*parts, *self.later))
