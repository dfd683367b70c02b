# SPDX-License-Identifier: Apache-2.0
"""A protocol round without its cryptography: the very integers that a server would open, and nobody's keys.

Masks cancel, so what a masked round opens is the sum in the ring Z_2^b of what its survivors uploaded, and what a site
uploads follows from the model, its records and its noise key. Here every site runs the code that `federation.client`
runs (contribution, clipping, rounding, noise, removable parts of noise), and the sum is taken directly. With the noise
keys of a real round the result is that round's sum, bit for bit: also when sites fall silent, whose noise is then
missing from it, and when surplus parts are taken off again.

Which rounds open follows from counts alone: enough survivors, enough votes for one list of them, and for each secret
that must be opened as many holders as the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Keystream
from fedmeta_crypto.graph import neighbours

from ..entropy import noise_key
from ..errors import RoundRefused
from ..federation.contribution import Contribution, Data, check_data, contribution_of, release_of
from ..federation.surplus import own_parts
from ..schedule import Schedule

Float = NDArray[np.float64]
Integers = NDArray[np.int64]
# (round, site) -> the 32 bytes that the site's noise key is made of; each pair once.
NoiseSeeds = Callable[[int, int], bytes]
# (round, site) -> the seeds of its removable parts, D of them.
SurplusSeeds = Callable[[int, int], Sequence[bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class ExactSum:
    """What a round opens: survivors in increasing id, and their sum in steps; no sum if the round ends without one."""

    survivors: tuple[int, ...]
    total: Integers | None


class ExactSimulation:
    """Rounds of a schedule over sites in this process.

    Args:
        schedule: as the real run's.
        data: registered records by site id, from 1.
        seeds: of the noise; the operating system's, or a real run's for comparison.
        surplus: of removable noise, where the schedule has it.

    Guarantee: the sum is that of `federation.Simulation` under the same seeds, model and silent sites. What is
        protected is what the schedule says of it; but whoever runs this sees every upload.
    Raises:
        RoundRefused: removable noise without seeds.  As `SiteClient` for records that are not what a proof asks for.
    """

    def __init__(
        self, schedule: Schedule, data: Mapping[int, Data], seeds: NoiseSeeds, *, surplus: SurplusSeeds | None = None
    ) -> None:
        if schedule.surplus is not None and surplus is None:
            raise RoundRefused("removable noise without its seeds", "exact simulation", "pass surplus=")
        if len(data) != schedule.clients:
            raise RoundRefused(
                f"{len(data)} sites in a schedule of {schedule.clients}", "exact simulation", "pass all of them"
            )
        self.schedule = schedule
        self.cohort = tuple(sorted(data))
        for site in self.cohort:
            check_data(schedule, data[site], site=str(site))
        self._contributions: dict[int, Contribution] = {
            site: contribution_of(schedule, data[site]) for site in self.cohort
        }
        self._seeds, self._surplus = seeds, surplus
        self._release = release_of(schedule)

    def round(
        self,
        number: int,
        theta: Float,
        silent: Mapping[int, str],
        *,
        session: bytes = b"",
        clip_norm: float | None = None,
    ) -> ExactSum:
        """The sum of round `number` at a model (P,).

        Args:
            number: from 1.
            theta: the announced model.
            silent: sites that fall silent, with the message that they do not send (`federation.dropouts.PHASES`).
            session: the round's, where it says who is whose neighbour or what removable noise is bound to.
            clip_norm: the announced one, if the plan's clipping is adaptive.
        """
        if clip_norm is not None:
            self._release.set_clip_norm(clip_norm)
        survivors, opens = self._opened(silent, session)
        if not opens:
            return ExactSum((), None)
        encoding = self.schedule.encoding
        total = np.zeros(self.schedule.length, np.uint64)
        for site in survivors:
            total += self._upload(number, site, theta, session, dropped=len(self.cohort) - len(survivors))
        mask = np.uint64((1 << encoding.modulus_bits) - 1)
        return ExactSum(survivors, encoding.from_ring((total & mask).astype(np.uint32)))

    def _upload(self, number: int, site: int, theta: Float, session: bytes, *, dropped: int) -> NDArray[np.uint64]:
        """One survivor's part of the opened sum: its upload, less the parts of its noise that are taken off."""
        schedule, words = self.schedule, None
        if schedule.scale is not None:
            key, _ = noise_key(lambda _: self._seeds(number, site))
            words = Keystream(key).words
        contribution = self._contributions[site]
        steps = self._release(contribution.units(theta, words), words)
        if schedule.surplus is not None and self._surplus is not None:
            kept = self._surplus(number, site)[:dropped]
            steps = steps + own_parts(schedule.surplus, kept, session=session, dimension=schedule.length)
        return contribution.finish(steps, words).view(np.uint64)

    def _opened(self, silent: Mapping[int, str], session: bytes) -> tuple[tuple[int, ...], bool]:
        """Whose uploads arrive, and whether their sum is opened."""
        hiding = self.schedule.hiding
        if not hiding.masked:
            alive = tuple(site for site in self.cohort if site not in silent)
            return alive, bool(alive)
        shared = [site for site in self.cohort if silent.get(site) not in {"advertise", "share"}]
        alive = tuple(site for site in shared if silent.get(site) != "mask")
        if len(alive) < max(hiding.min_survivors, hiding.quorum):
            return alive, False
        answering = {site for site in alive if site not in silent}
        k, complete = hiding.graph.neighbours, hiding.graph.neighbours >= len(self.cohort) - 1
        if not complete and not session:
            raise RoundRefused("neighbours follow from the session, and none is given", "round", "pass session=")
        for site in shared:
            holders = (
                answering - {site}
                if complete
                else answering & set(neighbours(self.cohort, k, of=site, session=session))
            )
            if len(holders) < hiding.graph.threshold:
                return alive, False
        return alive, True
