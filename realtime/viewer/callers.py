"""With whose token a request goes on to the records API."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from realtime.runtime.problems import Problem
from realtime.viewer.sessions import Sessions

COOKIE = "ranvier-session"


class Callers:
    """Finds the token of whoever asks.

    Parameters
    ----------
    sessions
        Of the people who are signed in.
    lent
        The server's own token, for people at this machine.
    required
        Whether everybody signs in; the server's own token is then lent to nobody.
    """

    def __init__(self, sessions: Sessions, lent: SecretStr | None, required: bool) -> None:
        self.sessions = sessions
        self.required = required
        self._lent = None if required else lent

    def signed_in(self, connection: HTTPConnection) -> bool:
        """Return whether a person is signed in."""
        return self.sessions.token(connection.cookies.get(COOKIE)) is not None

    def authorization(self, connection: HTTPConnection) -> dict[str, str]:
        """Return the header that says who asks; none where the records API wants none.

        Raises
        ------
        Problem
            401 if a person has to sign in first.
        """
        token = self.sessions.token(connection.cookies.get(COOKIE))
        if token is None and self.required:
            raise Problem(401, "sign in first, with a token that `ranvier tokens add` gave")
        if token is None and self._lent is not None:
            token = self._lent.get_secret_value()
        return {} if token is None else {"Authorization": f"Bearer {token}"}
