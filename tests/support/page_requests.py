"""What a page of a browser asks its server for."""

from __future__ import annotations

from playwright.sync_api import Page, Request


def requests_of(page: Page, part: str) -> list[str]:
    """Return a list of the addresses with a part in them that are asked for from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if part in request.url:
            asked.append(request.url)

    page.on("request", note)
    return asked
