# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 06: the lying server."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge, judge_function


def check_1(attack: Any) -> Verdict:
    """`attack(clients, victim)`: two survivor lists that make others reveal both of the victim's secrets."""

    def lists(clients: Any, victim: Any) -> Any:
        return sorted(clients), sorted(c for c in clients if c != victim)

    def tidy(function: Any) -> Any:
        def wrapped(clients: Any, victim: Any) -> Any:
            given = function(clients, victim)
            one, other = sorted((sorted(given[0]), sorted(given[1])), key=len, reverse=True)
            return "|".join(map(str, one)), "|".join(map(str, other))

        return wrapped

    def spelled(clients: Any, victim: Any) -> Any:
        one, other = lists(clients, victim)
        return "|".join(map(str, one)), "|".join(map(str, other))

    return judge_function(
        tidy(attack) if callable(attack) else attack,
        [([1, 2, 3, 4, 5], 3), ([1, 2, 4], 4)],
        right=spelled,
        says="Those who hear that the victim stayed give its self-mask; those who hear that it left give its pair secret.",
        hints=[
            (
                lambda clients, victim: ("|".join(map(str, sorted(clients))),) * 2,
                "Both lists are the same: then everybody reveals the same one of the two secrets.",
            ),
            (
                lambda clients, victim: ("|".join(map(str, sorted(c for c in clients if c != victim))),) * 2,
                "Nobody is told that the victim stayed: the self-mask is never revealed.",
            ),
            (
                lambda clients, victim: (str(victim), ""),
                "A list without the others is refused at once: it is below the least number of survivors.",
            ),
        ],
        otherwise="One list with the victim, one without; everybody else stands in both.",
    )


def check_2(consistent: Any) -> Verdict:
    """`consistent(lists, quorum)`: whether at least `quorum` clients signed the very same list."""
    cases = [
        ([(1, 2, 3), (1, 2, 3), (1, 2)], 2),
        ([(1, 2, 3), (1, 2), (1, 3)], 2),
        ([(1, 2), (1, 2), (1, 2), (3,)], 4),
        ([(2, 3)], 1),
    ]

    def most(lists: Any) -> int:
        return max(list(lists).count(one) for one in lists)

    return judge_function(
        consistent,
        cases,
        right=lambda lists, quorum: most(lists) >= quorum,
        says="With 2 quorum > n + A no two lists can both have one: honest clients sign once.",
        hints=[
            (lambda lists, quorum: len(lists) >= quorum, "You counted the clients, not those who agree."),
            (lambda lists, quorum: len(set(lists)) == 1, "Asking for all to agree lets one client stop every round."),
            (lambda lists, quorum: most(lists) > quorum, "At least the quorum, not more than it."),
        ],
        otherwise="Count how often the commonest list occurs.",
    )


def check_3(gain: Any) -> Verdict:
    """What can the server still do at strength malicious: "open one upload", "end the round" or "nothing"?"""
    return judge(
        str(gain).strip().lower(),
        right=lambda a: "end" in a,
        says="It can always refuse to go on, or send everybody a crafted model. Noise is for what the sum itself tells.",
        hints=[
            (lambda a: "open" in a, "For that it needs two lists with a quorum each, and honest clients sign once."),
            (lambda a: "nothing" in a, "It is the server: it may stop, or leave silent clients out."),
            (lambda a: "key" in a, "Keys are signed by their owners; it cannot swap them."),
        ],
        otherwise='Answer "open one upload", "end the round" or "nothing".',
    )
