"""With whose token a request goes on to the records API."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from realtime.runtime.problems import Problem
from realtime.viewer.sessions import Sessions

COOKIE = "ranvier-session"
ONLY_HERE = "__Host-"  # a browser takes such a cookie over TLS only, and from this host alone


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
    origin
        Where people find the viewer behind a proxy; None for where it listens.
    """

    def __init__(
        self,
        sessions: Sessions,
        lent: SecretStr | None,
        required: bool,
        origin: str | None = None,
    ) -> None:
        self.sessions = sessions
        self.required = required
        self._lent = None if required else lent
        self._origin = origin

    def secure(self, connection: HTTPConnection) -> bool:
        """Return whether there is TLS between the browser and us, or a proxy in front of us."""
        seen = self._origin or connection.headers.get("origin", "")
        return connection.url.scheme in {"https", "wss"} or seen.startswith("https:")

    def cookie(self, connection: HTTPConnection, secure: bool) -> str:
        """Return the name of the cookie; cookies are shared by all ports of a host."""
        _, port = connection.scope.get("server") or ("", 0)
        return f"{ONLY_HERE if secure else ''}{COOKIE}-{port}"

    def session(self, connection: HTTPConnection) -> str | None:
        """Return the name of the session that a browser says it has."""
        cookies = connection.cookies
        names = (self.cookie(connection, secure) for secure in (True, False))
        return next((cookies[name] for name in names if name in cookies), None)

    def signed_in(self, connection: HTTPConnection) -> bool:
        """Return whether a person is signed in."""
        return self.sessions.token(self.session(connection)) is not None

    def end(self, connection: HTTPConnection) -> None:
        """Forget a session, if there is one."""
        self.sessions.close(self.session(connection))

    def authorization(self, connection: HTTPConnection) -> dict[str, str]:
        """Return the header that says who asks; none where the records API wants none.

        Raises
        ------
        Problem
            401 if a person has to sign in first.
        """
        token = self.sessions.token(self.session(connection))
        if token is None and self.required:
            raise Problem(401, "sign in first, with a token that `ranvier tokens add` gave")
        if token is None and self._lent is not None:
            token = self._lent.get_secret_value()
        return {} if token is None else {"Authorization": f"Bearer {token}"}
