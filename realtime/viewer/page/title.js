// The heading of the review page: which recording this is, of whom, of when, and whether it grows.

import { formatDuration } from "./clock.js";
import { element, oneLine, setText } from "./elements.js";
import { dateOf, ratesOf } from "./recording_columns.js";
import { on } from "./store.js";

const SHOWN = ["patient", "recording", "detail", "end", "live"];

/** Return what is said of a recording beside its name. */
export function factsOf(detail, end) {
  if (!detail) return "";
  const channels = detail.groups.flatMap((group) => group.channels.filter((one) => !one.dummy));
  return [
    dateOf(detail) === "unknown" ? "start unknown" : dateOf(detail),
    formatDuration(end ?? detail.duration_sec),
    `${channels.length} channels, ${ratesOf(detail.groups.map((group) => group.rate_hz))}`,
  ].join(" · ");
}

export function mount(store) {
  const place = document.getElementById("title");
  if (!place) return;
  const name = element("span", { className: "title-name", dir: "auto" });
  const patient = element("span", { className: "title-patient", dir: "auto" });
  const facts = element("span", { className: "title-facts" });
  const lamp =
    document.getElementById("lamp") ?? place.appendChild(element("span", { id: "lamp" }));
  lamp.classList.add("lamp");
  place.prepend(name, " ", patient, " ", facts);

  function show(state) {
    document.title = state.recording
      ? `${oneLine(state.recording)} · ${oneLine(state.patient ?? "")} – Ranvier`
      : "Ranvier";
    setText(name, state.recording ?? "");
    setText(patient, state.patient ?? "");
    setText(facts, factsOf(state.detail, state.end));
    const is = state.detail ? (state.live ? "live" : "sealed") : "";
    lamp.hidden = !is;
    lamp.dataset.state = is;
    setText(lamp, is);
    lamp.title = is === "live" ? "Still being recorded" : "Complete";
  }

  store.subscribe(on(SHOWN, show));
  show(store.get());
}
