// A list of any length of which only what is seen is in the page; arrow keys move within it.

const BEYOND = 6; // rows on either side of what is seen

/**
 * Make a list of rows of one height, in rem, in an element that scrolls.
 *
 * `keyOf(item)` is what stays when the items are replaced, `make()` returns an empty row and
 * `fill(row, item, index, count)` writes into one. What takes the focus in a row is its descendant
 * with `data-focus`, or the row.
 */
export function longList(scroller, { height, keyOf, make, fill }) {
  const space = scroller.appendChild(document.createElement("div"));
  space.style.position = "relative";
  space.role = "presentation";
  const rows = new Map(); // key -> row, of those in the page
  let items = [];
  let active = null; // key of the row that Tab comes to
  let due = false;
  let rowHeight = 1; // px

  const target = (row) => row.querySelector("[data-focus]") ?? row;
  const keyHeld = (node) => {
    for (const [key, row] of rows) if (row.contains(node)) return key;
    return null;
  };

  function render() {
    due = false;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    rowHeight = Math.round(height * rem);
    space.style.height = `${items.length * rowHeight}px`;
    const held = keyHeld(document.activeElement);
    const first = Math.max(0, Math.floor(scroller.scrollTop / rowHeight) - BEYOND);
    const seen = Math.ceil(scroller.clientHeight / rowHeight) + 2 * BEYOND;
    const last = Math.min(items.length, first + seen);
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(keyOf(items[index]), index);
    // The row that has the focus stays, wherever it is, or the keyboard would lose its place.
    if (held !== null && !wanted.has(held)) {
      const index = items.findIndex((item) => keyOf(item) === held);
      if (index >= 0) wanted.set(held, index);
    }
    const stop = wanted.has(active) ? active : (wanted.keys().next().value ?? null);
    for (const [key, row] of rows) {
      if (wanted.has(key)) continue;
      row.remove();
      rows.delete(key);
    }
    let place = space.firstChild;
    for (const [key, index] of [...wanted].sort((one, other) => one[1] - other[1])) {
      let row = rows.get(key);
      if (!row) {
        row = make();
        row.style.position = "absolute";
        row.style.insetInline = "0";
        rows.set(key, row);
      }
      if (row === place) place = place.nextSibling;
      else space.insertBefore(row, place);
      row.style.top = `${index * rowHeight}px`;
      row.style.height = `${rowHeight}px`;
      row.dataset.index = index;
      fill(row, items[index], index, items.length);
      target(row).tabIndex = key === stop ? 0 : -1;
    }
    // A row that was moved has lost the focus.
    if (held !== null && rows.has(held) && keyHeld(document.activeElement) !== held) {
      target(rows.get(held)).focus({ preventScroll: true });
    }
  }

  function soon() {
    if (due) return;
    due = true;
    requestAnimationFrame(render);
  }

  function reveal(index) {
    const top = index * rowHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + rowHeight - scroller.clientHeight;
    }
  }

  function focus(index) {
    if (!items.length) return;
    const at = Math.min(Math.max(index, 0), items.length - 1);
    active = keyOf(items[at]);
    reveal(at);
    render();
    target(rows.get(active)).focus({ preventScroll: true });
  }

  function move(event) {
    const row = event.target.closest?.("[data-index]");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight) - 1);
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -items.length,
      End: items.length,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows turn the page elsewhere
    focus(Number(row.dataset.index) + steps[event.key]);
  }

  scroller.addEventListener("scroll", soon, { passive: true });
  scroller.addEventListener("keydown", move);
  scroller.addEventListener("focusin", (event) => {
    const held = keyHeld(event.target);
    if (held !== null && held !== active) {
      active = held;
      soon();
    }
  });
  new ResizeObserver(soon).observe(scroller);

  return {
    /** Show these items instead; the place scrolled to and the focus stay. */
    show(now) {
      items = now;
      render();
    },
    refresh: soon,
    reveal,
    focus,
    item: (index) => items[index],
  };
}
