"""The page's regions and controls, by the ids that its modules look for.

Nothing here knows a value: the modules of the page fill the lists, set what is chosen, and listen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

Children = Sequence[Component | str] | Component | str | None


def layout() -> Component:
    """Return the start page and the review page, of which one is shown."""
    return _part("Div", "app", [_start(), _review(), _dialogs(), _notice()])


def _part(kind: str, name: str | None, children: Children = None, **members: Any) -> Component:
    # Dash would otherwise tell its own store of each click.
    given = {} if name is None else {"id": name}
    made: Component = getattr(html, kind)(children, disable_n_clicks=True, **given, **members)
    return made


def _start() -> Component:
    head = _part(
        "Header",
        None,
        [
            _part("Span", None, "Ranvier", className="brand"),
            _part("Span", None, None, className="spring"),
            _part("Span", "start-tools", [_theme("start-theme")], className="tools"),
        ],
        className="head",
    )
    return _part("Main", "start", [head, _part("Section", "picker")])


def _review() -> Component:
    stage = _part("Div", "stage", [_traces(), _side()])
    return _part(
        "Main",
        "review",
        [_head(), _toolbar(), stage, _transport(), _strip(), _spectrum()],
        hidden=True,
    )


def _button(name: str, text: str, title: str, **members: Any) -> Component:
    return _part(
        "Button", name, text, title=title, type="button", **{"aria-label": title, **members}
    )


def _theme(name: str) -> Component:
    return _button(name, "", "Light or dark (t)", className="icon theme")


def _choice(name: str, label: str, title: str) -> Component:
    return _part(
        "Label",
        None,
        [_part("Span", None, label), _part("Select", name, title=title)],
        className="control",
        title=title,
    )


def _head() -> Component:
    export = _part(
        "Details",
        "export",
        [
            _part("Summary", None, "Export", title="Save this page as a picture or as data"),
            _part(
                "Div",
                None,
                [
                    _button("export-png", "Picture (PNG)", "Save the page as a PNG picture"),
                    _button("export-svg", "Drawing (SVG)", "Save the page as an SVG drawing"),
                    _button("export-figure", "Figure (Plotly)", "Save the page as a Plotly figure"),
                    _button("export-csv", "Samples (CSV)", "Save the page's samples as CSV"),
                    _button("export-edf", "Recording (EDF)", "Save the page's samples as EDF"),
                ],
                className="menu",
                role="menu",
            ),
        ],
        className="menu-button",
    )
    tools = [
        _button("follow", "Follow", "Stay at the end of the live recording"),
        export,
        _button("link", "Copy link", "Copy a link to what is shown here"),
        _button("calibrate", "Calibrate", "Measure the screen, so that uV/mm are true"),
        _theme("theme"),
        _button("help-button", "?", "Keys and help (?)", className="icon"),
    ]
    return _part(
        "Header",
        None,
        [
            _button("home", "\u2190 Recordings", "Back to the list of recordings"),
            _part("Div", "title"),
            _part("Span", None, None, className="spring"),
            _part("Div", "tools", tools, className="tools"),
        ],
        className="head",
    )


def _toolbar() -> Component:
    groups = [
        [_choice("window-choice", "Page", "Seconds on a page (1 to 5)")],
        [_choice("montage", "Montage", "How channels are referenced")],
        [
            _choice("hp", "High-pass", "Take away what is slower (f: all filters off and on)"),
            _choice("lp", "Low-pass", "Take away what is faster (f: all filters off and on)"),
            _choice("notch", "Notch", "Take away the mains' hum (f: all filters off and on)"),
        ],
        [
            _choice("scale", "Scale", "Sensitivity by the screen's millimetres, or by row"),
            _choice("sensitivity", "Sensitivity", "Microvolts for each unit of height (+ and -)"),
        ],
        [
            _choice("colours", "Colours", "What the colour of a trace tells"),
            _choice("polarity", "Negative", "Which way is negative"),
            _choice("clock", "Clock", "Time from the start, or time of day"),
        ],
    ]
    return _part(
        "Div",
        "toolbar",
        [_part("Div", None, each, className="group", role="group") for each in groups],
        role="toolbar",
        **{"aria-label": "Display"},
    )


def _traces() -> Component:
    layers = [
        _part("Canvas", name, **{"aria-hidden": "true"})
        for name in ("layer-under", "layer-traces", "layer-over")
    ]
    traces = _part(
        "Div", "traces", layers, tabIndex=0, role="img", **{"aria-label": "Traces of the recording"}
    )
    return _part("Div", "sheet", [traces, _part("Div", "reading")])


def _side() -> Component:
    tabs = _part(
        "Div",
        "side-tabs",
        [
            _button(
                "tab-marks",
                "Marks",
                "List of marks and seizures",
                role="tab",
                **{"aria-controls": "marks", "aria-selected": "true"},
            ),
            _button(
                "tab-channels",
                "Channels",
                "Channels: show, order, height",
                role="tab",
                **{"aria-controls": "channels", "aria-selected": "false"},
            ),
        ],
        role="tablist",
    )
    marks = _part("Section", "marks", [_part("Div", "seizures")], role="tabpanel")
    channels = _part("Section", "channels", role="tabpanel", hidden=True)
    return _part("Aside", "side", [tabs, marks, channels])


def _transport() -> Component:
    buttons = [
        _button("first", "", "To the start (Home)", className="icon"),
        _button("back", "", "Page back (\u2190)", className="icon"),
        _button("play", "", "Play and pause (Space)", className="icon"),
        _button("next", "", "Page on (\u2192)", className="icon"),
        _button("last", "", "To the end (End)", className="icon"),
        _part("Select", "speed"),
    ]
    return _part(
        "Div",
        "position",
        [
            _part("Div", None, buttons, className="transport", role="group"),
            _part("Span", "goto-place"),
            _part("Span", "slider-place"),
        ],
    )


def _strip() -> Component:
    # Its graphs come after the first traces, since plotly takes longer than those.
    return _part(
        "Section",
        "strip",
        [
            _part("Div", "overview-box"),
            _part("Div", "density-box"),
            _part("Div", "window-marker"),
        ],
        **{"aria-label": "The whole recording"},
    )


def _spectrum() -> Component:
    return _part(
        "Section",
        "spectrum",
        [
            _part("Div", "spectrum-controls"),
            _part("Div", "spectrum-body", hidden=True),
        ],
        **{"aria-label": "Spectrogram"},
    )


def _dialogs() -> Component:
    names = {
        "help": "Keys and help",
        "mark-form": "Mark",
        "calibrate-form": "Calibrate the screen",
    }
    made = [_part("Dialog", name, **{"aria-label": said}) for name, said in names.items()]
    return _part("Div", "dialogs", made)


def _notice() -> Component:
    return _part("Div", "notice", role="status", **{"aria-live": "polite"})
