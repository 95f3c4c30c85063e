"""The token of a cluster: where the user gave it, and what it may look like."""

import getpass
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from gen_dist.errors import UserError

TOKEN = re.compile(r"[\x21-\x7e]{8,512}")


def given_token(option: str | None, file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of the command line, else of the environment; None if there is none.

    Raises:
        UserError: both options, a file that cannot be read, or what cannot be a token.
    """
    if option is not None and file is not None:
        raise UserError("--token and --token-file: give one of them")
    if option is not None:
        return checked(option, "--token")
    if file is not None:
        return checked(read(file), f"--token-file {file}")
    if value := environment.get("RAY_AUTH_TOKEN"):
        return checked(value, "RAY_AUTH_TOKEN")
    if path := environment.get("RAY_AUTH_TOKEN_PATH"):
        return checked(read(Path(path)), f"RAY_AUTH_TOKEN_PATH={path}")
    return None


def asked_token() -> str:
    """From the terminal, without showing it.

    Raises:
        UserError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise UserError("no token: give --token-file FILE, --token TOKEN or RAY_AUTH_TOKEN, as 'gen-dist up' says it")
    return checked(getpass.getpass("token, as 'gen-dist up' says it: "), "the token")


def read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("ascii", errors="replace")
    except OSError as error:
        raise UserError(f"--token-file {file}: {error.strerror}; name the file that holds the token") from None


def checked(text: str, name: str) -> str:
    """`text` without white space around it. The message does not repeat what may be somebody's secret."""
    token = text.strip()
    if not TOKEN.fullmatch(token):
        raise UserError(f"{name}: a token is 8 to 512 letters, digits and signs without a space; got {len(token)}")
    return token
