"""The one way out: HTTP with pooled connections, time limits, retries and token refresh."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from storage.errors import RanvierError, Rejected, Unreachable
from storage.pennsieve.answers import Answer, refusal
from storage.pennsieve.patience import Patience
from storage.pennsieve.secrecy import cut_signatures_from_logs

if TYPE_CHECKING:
    from requests import PreparedRequest

log = logging.getLogger(__name__)

HOSTS_POOLED = 8


class Bearer(Protocol):
    """Where access tokens come from."""

    def current(self) -> tuple[str, int]:
        """Return the access token and its generation."""
        ...

    def renew(self, generation: int) -> None:
        """Replace the token of that generation, unless someone already has.

        Raises
        ------
        NotAuthorized
            If there is no way to get another.
        """
        ...


class Transport:
    """Connections to the API and to its store.

    Parameters
    ----------
    concurrency
        How many requests may be under way to one host; as many connections are kept open, and
        who finds all of them busy waits.
    patience
        Time limits and retries.
    """

    def __init__(self, concurrency: int, patience: Patience) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.exceptions import HTTPError

        cut_signatures_from_logs()
        self.patience = patience
        self._stopped = threading.Event()
        # requests lets a few of urllib3's own errors through, with the whole URL in them.
        self._failures = (requests.RequestException, HTTPError)
        self._session = requests.Session()
        adapter = HTTPAdapter(
            pool_connections=HOSTS_POOLED, pool_maxsize=concurrency, pool_block=True
        )
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        bearer: Bearer | None = None,
        accept: str = "application/json",
        repeatable: bool = True,
    ) -> Answer:
        """Exchange JSON with the API, trying again where another try may help.

        Parameters
        ----------
        repeatable
            Whether the call may be made again when nobody knows if it took effect. Otherwise
            only 429 is, which says that it did not.

        Raises
        ------
        NotAuthorized
            401 or 403, again with a renewed token.
        NotFound
            404.
        Rejected
            Any other status that another try would not change.
        Unreachable
            No answer, or 408, 429 and 5xx until patience ran out.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = "application/json"
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            token, generation = bearer.current() if bearer else (None, 0)
            pause_s = 0.0
            try:
                answer = self._exchange(
                    method, url, params=params, content=content, headers=headers, token=token
                )
            except Unreachable as unanswered:
                failure, again = unanswered, repeatable
            else:
                if answer.ok:
                    return answer
                if answer.status in (401, 403) and bearer and not renewed:
                    log.info("token refused, renewing: %s", answer.subject)
                    bearer.renew(generation)
                    renewed = True
                    attempt -= 1
                    continue
                error = refusal(answer, hide=token)
                if not isinstance(error, Unreachable):
                    raise error
                pause_s = answer.retry_after_s
                failure, again = error, repeatable or answer.status == 429
            if not again or attempt >= self.patience.attempts:
                raise failure
            self.pause(attempt, failure, pause_s)

    def put(self, url: str, content: bytes) -> Answer:
        """Send bytes to a presigned URL, once, without any header of ours.

        Raises
        ------
        Unreachable
            If no answer came.
        """
        return self._exchange("PUT", url, content=content, streamed=True)

    def pause(self, attempt: int, failure: RanvierError, asked_s: float = 0.0) -> None:
        """Wait before the next try.

        Raises
        ------
        Unreachable
            If the server asks for more time than we have, or the work was given up meanwhile.
        """
        longest_s = self.patience.longest_retry_after_s
        if asked_s > longest_s:
            raise Unreachable(
                f"{failure}; it asks to wait {asked_s:.0f} s, and we wait at most {longest_s:.0f} s"
            )
        delay_s = self.patience.delay_s(attempt, asked_s)
        log.info("trying again in %.2f s after try %d: %s", delay_s, attempt, failure)
        if self._stopped.wait(delay_s):
            raise Unreachable(f"{failure}; given up, since the work was stopped")

    def stop(self) -> None:
        """Let nobody wait for another try any more."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and close every idle connection."""
        self.stop()
        self._session.close()

    def _exchange(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        streamed: bool = False,
    ) -> Answer:
        place = urlsplit(url)
        subject = f"{method} {place.hostname}{place.path}"

        def authorize(request: PreparedRequest) -> PreparedRequest:
            if token is not None:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        # A body that is read in blocks has the time limit for each block, plain bytes for the
        # whole; an empty one would be sent chunked, which stores refuse.
        data = io.BytesIO(content) if streamed and content else content
        try:
            # With an auth of our own requests never looks for a password in ~/.netrc.
            response = self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                auth=authorize,
                timeout=(self.patience.connect_s, self.patience.read_s),
                allow_redirects=False,
            )
        except self._failures as error:
            failure = self._no_answer(subject, error)
        else:
            return Answer(subject, response.status_code, response.headers, response.content)
        # Raised out here, the error carries no context: that one would quote the signed URL.
        raise failure

    def _no_answer(self, subject: str, error: Exception) -> RanvierError:
        from requests import exceptions

        if isinstance(error, exceptions.ConnectTimeout):
            reason = f"no connection within {self.patience.connect_s:g} s"
        elif isinstance(error, exceptions.ReadTimeout):
            reason = f"no answer within {self.patience.read_s:g} s"
        elif isinstance(error, (exceptions.ConnectionError, exceptions.ChunkedEncodingError)):
            reason = _root_cause(error)
        else:
            return Rejected(f"{subject}: {type(error).__name__}; check the address")
        return Unreachable(f"{subject}: {reason}; check the network and try again")


def _root_cause(error: BaseException) -> str:
    """Return what the operating system said, without the URLs that libraries wrap around it."""
    found = "connection lost"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            found = seen.strerror.lower()
        seen = seen.__cause__ or seen.__context__
    return found
