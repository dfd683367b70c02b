# SPDX-License-Identifier: Apache-2.0
"""Pictures of real rounds and numbers, each with the words that replace it for those who do not see it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmeta_crypto import SERVER

if TYPE_CHECKING:
    from .rounds import Message


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with its words. A notebook shows the picture; a terminal, and a test, the words."""

    words: str
    png: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"[picture: {self.words}]"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return f'<img alt="{html.escape(self.words, quote=True)}" src="data:image/png;base64,{data}">'


def _drawn(words: str, size: tuple[float, float], draw: Any) -> Picture:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
    return Picture(words, buffer.getvalue())


def heat_maps(panels: Mapping[str, Any], words: str) -> Picture:
    """Matrices side by side, one row a client; each panel with its own colours.

    Example:
        >>> heat_maps({"inputs": np.eye(2)}, "a two by two identity")
        [picture: a two by two identity]
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for one, (title, values) in zip(axes, panels.items(), strict=True):
            one.imshow(np.atleast_2d(np.asarray(values, dtype=np.float64)), aspect="auto", cmap="viridis")
            one.set_title(title, fontsize=10)
            one.set_xlabel("coordinate", fontsize=8)
            one.set_yticks([])

    return _drawn(words, (3.0 * len(panels), 2.4), draw)


def sequence(messages: Sequence[Message], words: str, *, most: int = 40) -> Picture:
    """Arrows between the server and its clients, in the order of the messages of a round.

    Example:
        >>> from .rounds import Message
        >>> sequence([Message("public keys", 1, SERVER, 170)], "client 1 sends keys")
        [picture: client 1 sends keys]
    """
    shown = list(messages)[:most]
    parties = sorted({party for m in shown for party in (m.sender, m.receiver)} - {SERVER})
    place = {SERVER: 0, **{party: i + 1 for i, party in enumerate(parties)}}

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for party, x in place.items():
            axes.axvline(x, color="0.8", linewidth=1)
            axes.text(x, 0.8, "server" if party == SERVER else f"client {party}", ha="center", fontsize=9)
        for i, m in enumerate(shown):
            start, end = place[m.sender], place[m.receiver]
            colour = "tab:blue" if m.sender == SERVER else "tab:orange"
            axes.annotate("", (end, -i), (start, -i), arrowprops={"arrowstyle": "->", "color": colour})
            axes.text(max(place.values()) + 0.2, -i, f"{m.name}, {m.size} B", fontsize=7, va="center")
        axes.set_xlim(-0.4, max(place.values()) + 1.8)
        axes.set_ylim(-len(shown), 1.5)
        axes.axis("off")

    return _drawn(words, (7.0, 1.0 + 0.22 * len(shown)), draw)


def curves(
    x: Sequence[float], series: Mapping[str, Sequence[float]], words: str, *, labels: tuple[str, str], **how: Any
) -> Picture:
    """Lines over x; `how` may set xscale, yscale and a horizontal `limit`.

    Example:
        >>> curves([1, 2], {"a": [1, 4]}, "a grows", labels=("x", "y"))
        [picture: a grows]
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for name, values in series.items():
            axes.plot(x, values, label=name, linewidth=1.8)
        if "limit" in how:
            axes.axhline(how["limit"], color="0.5", linestyle="--", linewidth=1)
        axes.set_xscale(how.get("xscale", "linear"))
        axes.set_yscale(how.get("yscale", "linear"))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if len(series) > 1:
            axes.legend(frameon=False)

    return _drawn(words, (5.6, 3.2), draw)


def histograms(samples: Mapping[str, Any], words: str, *, bins: int = 60, label: str = "value") -> Picture:
    """Overlaid histograms on common bins.

    Example:
        >>> histograms({"with": [1, 2, 2], "without": [1, 1, 2]}, "two worlds")
        [picture: two worlds]
    """
    arrays = {name: np.asarray(values, dtype=np.float64).ravel() for name, values in samples.items()}
    edges = np.linspace(min(a.min() for a in arrays.values()), max(a.max() for a in arrays.values()), bins + 1)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for name, values in arrays.items():
            axes.hist(values, bins=edges, alpha=0.55, label=name)
        axes.set_xlabel(label)
        axes.set_yticks([])
        axes.legend(frameon=False)

    return _drawn(words, (5.6, 2.8), draw)
