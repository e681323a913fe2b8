// The slider over the whole recording, and the speed of playing.

import { formatTime } from "./clock.js";
import { givesBack } from "./focus.js";
import { farthest, lastPage } from "./places.js";
import { SPEEDS } from "./player.js";
import { on } from "./store.js";

export function mount(store, actions) {
  const slider = document.getElementById("slider");
  if (slider) bindSlider(slider, store, actions);
  bindSpeed(store);
}

function bindSlider(slider, store, actions) {
  slider.step = "any";
  const show = (state) => {
    slider.max = String(Math.max(farthest(state), lastPage(state.end, state.window), state.start));
    slider.value = String(state.start);
    slider.setAttribute(
      "aria-valuetext",
      `${formatTime(state, state.start)} of ${formatTime(state, state.end)}`,
    );
  };
  store.subscribe(on(["start", "window", "end", "clock", "detail"], show));
  slider.addEventListener("input", () => actions.goTo(Number(slider.value)));
  show(store.get());
}

function bindSpeed(store) {
  const play = document.getElementById("play");
  let list = document.getElementById("speed");
  if (!list && play) {
    list = document.createElement("select");
    list.id = "speed";
    play.parentElement.append(list);
  }
  if (!list) return;
  list.title = "Speed of playing ([ and ])";
  list.setAttribute("aria-label", "Speed of playing");
  const options = SPEEDS.map((speed) => new Option(`${speed}×`, String(speed)));
  list.replaceChildren(...options);
  const show = ({ speed }) => (list.value = String(speed));
  store.subscribe(on(["speed"], show));
  list.addEventListener("change", () => {
    store.set({ speed: Number(list.value) });
  });
  givesBack(list);
  show(store.get());
}
