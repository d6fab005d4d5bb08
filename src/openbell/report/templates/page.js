// What the page does once it is there: draws the pictures, labels their time axis, fits their
// y ranges to what is in view, and sorts tables. No eval and no inline handlers: a strict content
// policy may be in force.
"use strict";

(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const STEPS_S = [1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const TICKS_MAX = 10;

  // Session starts from afar; round times of day when fewer than four sessions are in view.
  function ticksIn(axis, points, lo, hi) {
    const starts = axis.begins.filter((place) => place >= lo && place <= hi);
    const inside = points.filter(([place]) => place >= lo && place <= hi);
    if (starts.length >= 4 || inside.length <= starts.length) {
      const every = Math.ceil(starts.length / TICKS_MAX) || 1;
      return starts.filter((_, i) => i % every === 0);
    }
    for (const step of STEPS_S) {
      const round = inside.filter(([, ms]) => ms % (step * 1000) === 0).map(([place]) => place);
      const far = round.filter((p) => starts.every((s) => Math.abs(s - p) > (hi - lo) / 25));
      if (far.length + starts.length <= TICKS_MAX + 2)
        return [...starts, ...far].sort((a, b) => a - b);
    }
    return starts;
  }

  function labelOf(axis, times, place) {
    const at = axis.begins.indexOf(place);
    if (at < 0) return new Date(times.get(place)).toISOString().slice(11, 19).replace(/:00$/, "");
    const [year, month, day] = axis.labels[at].split("-");
    if (!day) return "";
    const first = axis.labels[0].slice(0, 4);
    const last = axis.labels[axis.labels.length - 1].slice(0, 4);
    return `${MONTHS[month - 1]} ${Number(day)}${last && first !== last ? " " + year : ""}`;
  }

  function labelTime(panes, axis) {
    const { x, time } = panes[panes.length - 1].renderers[0].data_source.data;
    const points = Array.from(x, (place, i) => [place, time[i]]);
    const times = new Map(points);
    for (const pane of panes) {
      for (const one of pane.below) {
        one.ticker.get_ticks = (lo, hi) => ({ major: ticksIn(axis, points, lo, hi), minor: [] });
        one.formatter.doFormat = (ticks) => ticks.map((place) => labelOf(axis, times, place));
      }
    }
  }

  // A pane's tags name the columns its y range fits; `zero` keeps 0 in view, at the edge.
  function fit(pane) {
    const { start, end } = pane.x_range;
    let lo = Infinity;
    let hi = -Infinity;
    for (const { data_source } of pane.renderers) {
      const data = data_source.data;
      for (const name of pane.tags) {
        if (!data[name] || !data.x) continue;
        for (let i = 0; i < data.x.length; i++) {
          const value = data[name][i];
          if (data.x[i] < start || data.x[i] > end || !Number.isFinite(value)) continue;
          if (value < lo) lo = value;
          if (value > hi) hi = value;
        }
      }
    }
    const touchesZero = pane.tags.includes("zero");
    if (touchesZero) hi = 0;
    if (!(lo <= hi)) return;
    const room = (hi - lo) * 0.06 || Math.abs(hi) * 0.001 || 1e-4;
    pane.y_range.setv({ start: lo - room, end: touchesZero ? room / 3 : hi + room });
  }

  async function drawPictures() {
    const holder = document.getElementById("pictures");
    if (!holder) return;
    const views = await Bokeh.embed.embed_item(read("pictures-data"), holder);
    const documents = new Set(Array.from(views, (view) => view.model.document));
    for (const one of documents) {
      const panes = [...one.all_models].filter((model) => model.type === "Figure");
      labelTime(panes, read("axis-data"));
      // Later and once: tools set several ranges, one after the other.
      let isDue = false;
      const refit = () => {
        isDue = false;
        panes.forEach(fit);
      };
      const refitSoon = () => {
        if (!isDue) requestAnimationFrame(refit);
        isDue = true;
      };
      for (const range of [panes[0].x_range, ...panes.map((pane) => pane.y_range)])
        range.change.connect(refitSoon);
      refit();
    }
    holder.classList.add("drawn");
  }

  function sortBy(header) {
    const table = header.closest("table");
    const column = [...header.parentNode.children].indexOf(header);
    const sign = header.dataset.sorted === "up" ? -1 : 1;
    const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      const byNumber = left - right;
      return sign * (Number.isNaN(byNumber) ? left.localeCompare(right) : byNumber);
    });
    for (const other of header.parentNode.children) delete other.dataset.sorted;
    header.dataset.sorted = sign > 0 ? "up" : "down";
    table.tBodies[0].append(...rows);
  }

  for (const header of document.querySelectorAll("table.sortable th"))
    header.addEventListener("click", () => sortBy(header));
  drawPictures().catch((error) => {
    document.getElementById("pictures").textContent = `The pictures cannot be drawn: ${error}`;
  });
})();
