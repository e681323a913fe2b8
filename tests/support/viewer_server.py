"""The viewer as a process of its own, on a free port, in front of a records service."""

from __future__ import annotations

from pathlib import Path

from tests.support.service_process import PREFIX, ServiceProcess


class ViewerServer(ServiceProcess):
    """Runs the viewer until the end of a ``with`` block; may be killed and started again.

    Parameters
    ----------
    home
        Where its log and its montages lie.
    records_url
        Of the records service, which may be absent.
    environment
        Further variables of the process.
    **settings
        Fields of ``ViewerSettings``.
    """

    def __init__(
        self,
        home: Path,
        records_url: str,
        environment: dict[str, str] | None = None,
        **settings: object,
    ) -> None:
        given = {
            f"RANVIER_{'' if name == 'token' else 'VIEWER_'}{name.upper()}": str(value)
            for name, value in settings.items()
        }
        variables = {
            "RANVIER_HOME": str(home),
            "RANVIER_VIEWER_PORT": "0",
            "RANVIER_RECORDS_URL": records_url,
            **given,
            **(environment or {}),
        }
        super().__init__("tests.support.viewer_server", home / "viewer.log", variables)
        self.home = home


if __name__ == "__main__":
    from deployments.logs import set_up
    from realtime.viewer.service import run
    from storage.settings import viewer_settings

    set_up()
    run(viewer_settings(), announce=lambda url: print(PREFIX + url, flush=True))
