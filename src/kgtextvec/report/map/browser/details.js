// The panel of the picked point: what it is, its text, its ten nearest.

import { swatch } from "./colours.js";
import { element, fillList, addRovingTabindex } from "./roving_tabindex.js";

export function pointRow(app, point, note = "") {
  const column = app.data.columns[app.column];
  const row = element("button", { type: "button", className: "row", title: app.data.names[point] });
  row.append(
    swatch(column, column.codes[point], app.theme),
    element("span", { className: "name", textContent: app.data.names[point] || app.data.ids[point] }),
    element("span", { className: "count", textContent: note }),
  );
  row.dataset.id = app.data.ids[point];
  row.addEventListener("click", () => app.pick(point, { fly: true, focus: true }));
  for (const kind of ["pointerenter", "focus"]) row.addEventListener(kind, () => app.hover(point));
  for (const kind of ["pointerleave", "blur"]) row.addEventListener(kind, () => app.hover(-1));
  return row;
}

export function startDetails(app) {
  const panel = document.getElementById("details");
  const title = document.getElementById("details-title");
  const facts = document.getElementById("facts-of-point");
  const list = document.getElementById("neighbours");
  addRovingTabindex(list);
  app.drawDetails = (focus) => {
    const { data, picked } = app;
    panel.hidden = picked < 0;
    if (picked < 0) return;
    title.textContent = data.names[picked] || data.ids[picked];
    const pairs = [["id", data.ids[picked]]];
    for (const column of data.columns) pairs.push([column.name, column.groups[column.codes[picked]]]);
    pairs.push(["row", data.rows[picked].toLocaleString("en")]);
    facts.replaceChildren(...pairs.flatMap(([name, value]) => [
      element("dt", { textContent: name }), element("dd", { textContent: value || "–" }),
    ]));
    document.getElementById("text-of-point").textContent =
      data.texts ? data.texts[data.textOf[picked]] : "";
    document.getElementById("neighbours-title").hidden = !app.neighbours.length;
    fillList(list, app.neighbours.map(({ point, cosine }) =>
      element("li", {}, pointRow(app, point, cosine.toFixed(3)))));
    panel.scrollIntoView({ block: "nearest" });
    if (focus) title.focus();
  };
}
