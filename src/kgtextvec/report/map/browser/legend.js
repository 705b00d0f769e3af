// The legend: groups of the column that colours the points, hidden and shown by a click.

import { swatch } from "./colours.js";
import { element, fillList, addRovingTabindex } from "./roving_tabindex.js";

const MANY = 12; // groups, above which the legend can be searched

export function startLegend(app) {
  const list = document.getElementById("legend");
  const columns = document.getElementById("columns");
  const filter = document.getElementById("legend-filter");
  addRovingTabindex(list);
  for (const [at, column] of app.data.columns.entries()) {
    columns.append(element("option", { value: String(at), textContent: column.name }));
  }
  columns.addEventListener("change", () => app.setColumn(Number(columns.value)));
  document.getElementById("legend-all").addEventListener("click", () => show(app, () => true));
  app.drawLegend = () => {
    const column = app.data.columns[app.column];
    columns.value = String(app.column);
    fillList(list, column.groups.map((name, code) => row(app, column, name, code)));
    filter.parentElement.hidden = column.groups.length <= MANY;
    filter.value = "";
  };
  // A group that does not match stays on the map: the filter finds rows, it hides no points.
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    const { groups } = app.data.columns[app.column];
    [...list.children].forEach((item, code) => {
      item.hidden = !(groups[code] || "(empty)").toLowerCase().includes(wanted);
    });
    const left = [...list.querySelectorAll("li:not([hidden]) .row")];
    list.querySelectorAll(".row").forEach((button) => (button.tabIndex = button === left[0] ? 0 : -1));
    app.announce(`${left.length} of ${groups.length} groups listed`);
  });
  list.addEventListener("pointerleave", () => app.emphasise(-1));
  list.addEventListener("focusout", () => app.emphasise(-1));
}

function show(app, wanted) {
  const column = app.data.columns[app.column];
  app.hidden[app.column] = new Set([...column.groups.keys()].filter((code) => !wanted(code)));
  document.querySelectorAll("#legend .row").forEach((button, code) => {
    button.setAttribute("aria-pressed", String(wanted(code)));
  });
  app.announce(`${app.countShown().toLocaleString("en")} points shown`);
  app.refresh();
}

function row(app, column, name, code) {
  const hidden = app.hidden[app.column];
  const toggle = element("button", {
    type: "button", className: "row", "aria-pressed": String(!hidden.has(code)), title: name,
  });
  toggle.append(
    swatch(column, code, app.theme),
    element("span", { className: "name", textContent: name || "(empty)" }),
    element("span", { className: "count", textContent: column.counts[code].toLocaleString("en") }),
  );
  toggle.addEventListener("click", () => {
    const now = app.hidden[app.column];
    show(app, (other) => (other === code ? now.has(code) : !now.has(other)));
  });
  const only = element("button", {
    type: "button", className: "only", textContent: "only", "aria-label": `Show only ${name}`,
  });
  only.addEventListener("click", () => show(app, (other) => other === code));
  const item = element("li", {}, toggle, only);
  for (const kind of ["pointerenter", "focusin"]) {
    item.addEventListener(kind, () => app.emphasise(code));
  }
  return item;
}
