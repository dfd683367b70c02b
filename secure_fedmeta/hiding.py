# SPDX-License-Identifier: Apache-2.0
"""How the uploads of a cohort are hidden: strength, graph, and how many honest noises every sum surely holds.

A server and each of its sites work this out from their own plan, never from an announcement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedmeta_crypto import ClientPolicy, Strength
from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.graph import GraphParameters
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.secagg.parameters import majority
from fedmeta_privacy.errors import PlanError

from .aggregation import EXPOSED, SPLIT, SUM_ONLY, trust_of
from .errors import AggregationRefused
from .plan import Plan

STRENGTHS = {
    "malicious": Strength.MALICIOUS,
    "semi-malicious": Strength.SEMI_MALICIOUS,
    "semi-honest": Strength.SEMI_HONEST,
}
FEWEST_CLIENTS = 3  # of two, each would read the other's upload off the sum


@dataclass(frozen=True, slots=True)
class Hiding:
    """Strength and graph of every round of a run.

    Attributes:
        strength: what the protocol withstands.
        graph: k, t, A and D.
        clients: n.
        colluders: c, sites whose noise is not counted; A under signatures.
        aggregation: the plan's word for how uploads are added.
    """

    strength: Strength
    graph: GraphParameters
    clients: int
    colluders: int
    aggregation: str = "mask"

    @property
    def masked(self) -> bool:
        """Whether the server sees sums alone; False where it sees each upload."""
        return self.aggregation in SUM_ONLY

    @property
    def trust(self) -> TrustModel | None:
        """Who could decrypt what; None where nothing is encrypted."""
        return trust_of(self.aggregation)

    @property
    def name(self) -> str:
        """As a plan spells it; "none" without masks."""
        return next(name for name, one in STRENGTHS.items() if one is self.strength) if self.masked else "none"

    @property
    def signed(self) -> bool:
        """Whether messages are signed and survivors proved."""
        return self.masked and self.strength.signed

    @property
    def circulant(self) -> bool:
        """Whether the graph is a ring that needs no luck."""
        return self.strength is Strength.MALICIOUS and self.graph.neighbours < self.clients - 1

    @property
    def random(self) -> bool:
        """Whether the graph was drawn, and not fixed by a rule."""
        return self.graph.neighbours < self.clients - 1 and self.strength is not Strength.MALICIOUS

    @property
    def graph_name(self) -> str:
        """The graph in words."""
        if self.graph.neighbours == self.clients - 1:
            return "complete graph"
        return "random Harary graph" if self.random else "circulant graph"

    @property
    def min_survivors(self) -> int:
        """n_min: fewest inputs a sum may hold; every client refuses fewer."""
        return self.clients - self.graph.dropped

    @property
    def quorum(self) -> int:
        """Signatures on one list of survivors without which no share leaves; 0 without signatures."""
        if not self.signed:
            return 0
        half = (self.clients + self.graph.corrupt) // 2 + 1
        return max(half, self.min_survivors) if self.circulant else half

    def honest(self, survivors: int, votes: int | None = None) -> int:
        """Honest noises, one's own included, in whatever the server opens of a round with these survivors.

        Under signatures the survivors are proved and A of them may be corrupt; on a circulant graph only those who
        voted count (`votes`; all by default), and on a random graph a lying server may open a part, which holds
        k - t + 2 honest sites at least. Without signatures: survivors less declared colluders.
        """
        if not self.masked:
            return 1
        counted = min(survivors, votes) if self.circulant and votes is not None else survivors
        honest = counted - self.colluders
        return min(honest, self.graph.fewest_honest) if self.signed and self.random else honest

    @property
    def floor_honest(self) -> int:
        """h: `honest` in the worst round that a site lends itself to, known before its upload leaves."""
        fewest = self.min_survivors if self.signed else self.graph.threshold
        return self.honest(fewest)

    def policy(
        self,
        plan: Plan,
        *,
        length: int,
        dimension: int,
        last_round: int,
        seen_sessions: frozenset[bytes] = frozenset(),
        people: AllowList | None = None,
        surplus: int = 0,
    ) -> ClientPolicy:
        """What a site accepts of an announcement: `length` words under masks, a model of `dimension` numbers."""
        return _policy(
            plan,
            self.strength,
            min_cohort=self.clients,
            max_length=length,
            max_body_bytes=8 * dimension,
            last_round=last_round,
            seen_sessions=seen_sessions,
            allow_list=people,
            surplus=surplus,
            # On the other graphs the policy demands the very numbers that it works out itself.
            min_threshold=None if self.signed or self.random else self.graph.threshold,
            known_ids=None if self.signed else frozenset(range(1, self.clients + 1)),
        )


def hiding_for(plan: Plan, clients: int) -> Hiding:
    """Work out k, t, A, D and c.

    Raises:
        PlanError: no round of so many clients withstands what the plan assumes; the reason is in the text.
        AggregationRefused: the strength has no signatures that a decryptor could go by.

    Example:
        >>> hiding = hiding_for(Plan(), 10)
        >>> hiding.graph, hiding.min_survivors, hiding.floor_honest
        (GraphParameters(neighbours=9, threshold=6, corrupt=1, dropped=1), 9, 8)
    """
    strength, stated = STRENGTHS[plan.strength], plan.colluders or 0
    if stated >= clients:
        raise PlanError(f"{stated} colluders among {clients} sites", "leave at least one honest site")
    if plan.aggregation in EXPOSED:
        nobody = GraphParameters(clients - 1, 1, 0, clients - 2)
        return Hiding(Strength.SEMI_HONEST, nobody, clients, stated, plan.aggregation)
    if clients < FEWEST_CLIENTS:
        raise PlanError(f"{clients} sites: a sum of two shows each the other's upload", "use at least 3 sites")
    if plan.aggregation in SPLIT and not strength.signed:
        raise AggregationRefused(
            f'aggregation = "{plan.aggregation}" at strength {plan.strength}: a decryptor opens what signatures prove',
            "plan, strength",
            "use strength malicious or semi-malicious",
        )
    made = _signed(plan, strength, clients) if strength.signed else _unsigned(plan, strength, clients)
    return replace(made, aggregation=plan.aggregation)


def _unsigned(plan: Plan, strength: Strength, clients: int) -> Hiding:
    stated = plan.colluders or 0
    graph = _graph(plan, strength, clients)
    if graph.neighbours == clients - 1:
        graph = _majority(plan, clients)
    elif plan.threshold is not None:
        raise PlanError(f"a threshold of {plan.threshold} on a random graph", "leave it to the graph")
    if stated >= graph.threshold:
        raise PlanError(
            f"{stated} colluders reach the threshold {graph.threshold}: they could open any upload",
            "raise the threshold or declare fewer colluders",
        )
    return Hiding(strength, graph, clients, stated)


def _signed(plan: Plan, strength: Strength, clients: int) -> Hiding:
    if plan.threshold is not None:
        raise PlanError(
            f"a threshold of {plan.threshold} at strength {plan.strength}: t follows from the colluders there, and "
            "every site refuses another one",
            "leave the threshold out, or choose strength semi-honest, which is a downgrade",
        )
    graph = _graph(plan, strength, clients)
    hiding = Hiding(strength, graph, clients, graph.corrupt)
    if hiding.floor_honest < 1:
        raise PlanError(
            f"{graph.corrupt} corrupt and {graph.dropped} dropped of {clients} sites leave nobody honest in a sum",
            "assume fewer of them, or add sites",
        )
    return hiding


def _majority(plan: Plan, clients: int) -> GraphParameters:
    """The complete graph without signatures: the stated t, else the smallest with 2t > n."""
    threshold = plan.threshold if plan.threshold is not None else majority(clients)
    if 2 * threshold <= clients:
        raise PlanError(
            f"threshold {threshold} of {clients}: two disjoint groups could open two different sums",
            f"use a threshold of at least {majority(clients)}",
        )
    # Nobody holds a share of its own secret, so a survivor's seed is opened by the others.
    if clients - 1 < threshold:
        raise PlanError(
            f"threshold {threshold} needs {threshold + 1} survivors; there are {clients} sites", "lower the threshold"
        )
    return GraphParameters(clients - 1, threshold, 0, clients - threshold - 1)


def _graph(plan: Plan, strength: Strength, clients: int) -> GraphParameters:
    policy = _policy(plan, strength, min_cohort=clients, max_length=1, max_body_bytes=0, last_round=0)
    try:
        return policy.graph(clients, strength)
    except PlanRefused as error:
        raise PlanError(
            f"no {plan.strength} round of these sites can be had: {error.what}",
            "lower corrupt_fraction, colluders, dropout_fraction or dropout, or add sites",
        ) from None


def _policy(plan: Plan, strength: Strength, **limits: object) -> ClientPolicy:
    return ClientPolicy(
        allowed_strengths=frozenset({strength}),
        corrupt_fraction=plan.corrupt_fraction,
        colluders=plan.colluders or 0,
        dropout_fraction=plan.dropout_assumed,
        **limits,  # type: ignore[arg-type]
    )
