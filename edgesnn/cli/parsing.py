"""From options as data (`edgesnn.options`) to commands of the parser."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Optional

import typer

from edgesnn.options import Option

Given = dict[str, Any]
"""What was typed, by `Option.key`."""


def was_given(value: Any) -> bool:
    """Whether an option was typed: a flag that is set, or any value (0 is one)."""
    return value is not None and value is not False


def taking(
    options: Sequence[Option],
    run: Callable[[Given], int | None],
    *,
    about: str,
    app: str = "",
    metavar: str = "APP",
) -> Callable[..., int | None]:
    """Return a function that the parser can make a command of: it takes just these options.

    run: gets what was typed. about: the command's help. app: help of a leading argument (metavar),
    found under "app"; "" where there is none.
    """
    parameters = [_parameter(option) for option in options]
    if app:
        argument = Annotated[str, typer.Argument(metavar=metavar, help=app)]
        first = inspect.Parameter("app", inspect.Parameter.KEYWORD_ONLY, annotation=argument)
        parameters.insert(0, first)

    def command(**given: Any) -> int | None:
        return run(given)

    command.__doc__ = about
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _parameter(option: Option) -> inspect.Parameter:
    required = option.default is ...
    told = typer.Option(
        option.name,
        help=option.about,
        metavar=option.metavar,
        min=option.least,
        max=option.most,
        rich_help_panel=option.panel,
    )
    kind: Any = option.type
    if option.default is None:
        kind = Optional[kind]  # noqa: UP045  typer reads the annotation at run time
    return inspect.Parameter(
        option.key,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else option.default,
        annotation=Annotated[kind, told],
    )
