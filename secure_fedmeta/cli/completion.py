# SPDX-License-Identifier: Apache-2.0
"""Completion of words on the command line. A script is printed when asked for; nothing is written anywhere."""

from __future__ import annotations

import os

import typer

from ..errors import UsageError

SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "secure-fedmeta"
_VARIABLE = "_SECURE_FEDMETA_COMPLETE"  # what the printed scripts set when they ask for words


def show(context: typer.Context, shell: str | None) -> None:
    """Print the script of a shell and end.

    Raises:
        UsageError: a shell without a script.
    """
    if shell is None:
        return
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell[:60]!r}", "--show-completion", f"use one of: {', '.join(SHELLS)}")
    from typer.completion import get_completion_inspect_parameters, shell_complete

    get_completion_inspect_parameters()  # makes the three shells known
    shell_complete(context.command, {}, _PROGRAM, _VARIABLE, f"source_{shell}")
    raise typer.Exit


def prepare() -> None:
    """Teach the parser the shells' questions, if this process was started to answer one."""
    if _VARIABLE in os.environ:
        from typer.completion import get_completion_inspect_parameters

        get_completion_inspect_parameters()
