# SPDX-License-Identifier: Apache-2.0
"""The command line: `secure-fedmeta VERB`. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .._version import __version__
from ..errors import FileError, UsageError, UserError
from . import completion

INTERRUPTED = 130

app = typer.Typer(
    name="secure-fedmeta",
    help="Secure federated meta-learning: what each round cost in privacy, and a sum that hides each site.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"secure-fedmeta {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    show_completion: Annotated[
        str | None,
        typer.Option(callback=completion.show, is_eager=True, metavar="SHELL", help="Print a script: bash, zsh, fish."),
    ] = None,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status. Errors are numbered and go to standard error.

    Exit status: 0 done, 1 a numbered error, 2 a command line that cannot be read, 130 interrupted; `audit` has its own
    3, 4 and 5.
    """
    from . import attack, audit, check, doctor, epsilon, explain, new, plan, report, run

    # A process started with & by a shell inherits "ignore" for Ctrl-C; the run must still end cleanly.
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, signal.default_int_handler) for n in (signal.SIGINT, signal.SIGTERM)}
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not app.registered_commands:  # once, however often this is called
        run.register(app)
        plan.register(app)
        epsilon.register(app)
        attack.register(app)
        check.register(app)
        audit.register(app)
        report.register(app)
        new.register(app)
        explain.register(app)
        doctor.register(app)
    completion.prepare()
    command = typer.main.get_command(app)
    try:
        result = command.main(args=given or ["--help"], prog_name="secure-fedmeta", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except _parser_error() as error:
        return _complain(_usage(error), given, status=2)
    except _numbered_errors() as error:
        return _complain(error, given, status=1)
    except OSError as error:
        where = str(error.filename or "standard output or the run's folder")
        problem = FileError(f"the system refused: {error.strerror}", where, "make room, or choose another place")
        return _complain(problem, given, status=1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if result == INTERRUPTED:  # recent releases of typer make this status of Ctrl-C themselves
        sys.stderr.write("interrupted; what was written is whole\n")
    return (result if isinstance(result, int) else 0) if given else 2


def _parser_error() -> type[Exception]:
    """The base of the parser's errors: click's in older releases of typer, a copy inside typer in newer ones."""
    bases = typer.BadParameter.__mro__
    return next(base for base in bases if base.__name__ == "ClickException" and issubclass(base, Exception))


def _numbered_errors() -> tuple[type[Exception], ...]:
    """Asked for only when something was raised, so that `--help` does not load the rooms."""
    from fedmeta_crypto.errors import ProtocolError
    from fedmeta_privacy.errors import PrivacyError

    return UserError, PrivacyError, ProtocolError


def _usage(error: Any) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "secure-fedmeta"
    return UsageError(error.format_message().rstrip("."), where, f"see `{where} --help`")


def _complain(error: Exception, given: list[str], *, status: int) -> int:
    if "json" in given or "--format=json" in given:
        from .envelope import line as envelope

        said = {name: getattr(error, name) for name in ("what", "where", "remedy") if hasattr(error, name)}
        body = {"error": {"code": getattr(error, "code", "SFM-100"), "text": str(error), **said}}
        sys.stdout.write(envelope("error", body) + "\n")
    sys.stderr.write(f"{error}\n")
    return status
