// The points selected by the lasso: list, copy, save.

import { pointRow } from "./details.js";
import { element, fillList, addRovingTabindex } from "./roving_tabindex.js";

const MOST_LISTED = 200;

// Even-odd rule on typed arrays; the lasso's box sorts most points out.
export function inside(path, x, y) {
  let is = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [xi, yi] = path[i];
    const [xj, yj] = path[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) is = !is;
  }
  return is;
}

export function startSelection(app) {
  const panel = document.getElementById("selected");
  const list = document.getElementById("selected-list");
  const button = (id, action) => document.getElementById(id).addEventListener("click", action);
  addRovingTabindex(list);
  app.select = (points) => {
    app.selected = points;
    const marked = new Uint8Array(app.data.count);
    for (const point of points) marked[point] = 1;
    app.scene.setSelected(marked);
    panel.hidden = !points.length;
    const count = points.length.toLocaleString("en");
    document.getElementById("selected-title").textContent = `${count} selected`;
    fillList(list, points.slice(0, MOST_LISTED).map((point) => element("li", {}, pointRow(app, point))));
    const more = points.length - MOST_LISTED;
    document.getElementById("selected-more").textContent =
      more > 0 ? `and ${more.toLocaleString("en")} more; copy or save gives all` : "";
    app.announce(`${count} points selected`);
    if (points.length) panel.scrollIntoView({ block: "nearest" });
    app.refresh();
  };
  app.selectWithin = (path) => {
    if (path.length < 3) return;
    const corners = path.map(([left, top]) => app.camera.toWorld(left, top));
    const low = [0, 1].map((axis) => Math.min(...corners.map((corner) => corner[axis])));
    const high = [0, 1].map((axis) => Math.max(...corners.map((corner) => corner[axis])));
    const found = [];
    for (let i = 0; i < app.data.count; i++) {
      const [x, y] = app.world(i);
      if (x < low[0] || x > high[0] || y < low[1] || y > high[1] || !app.shown(i)) continue;
      if (inside(corners, x, y)) found.push(i);
    }
    app.select(found);
  };
  button("clear-selected", () => app.select([]));
  button("select-visible", () => {
    const { width, height } = app.camera;
    app.selectWithin([[0, 0], [width, 0], [width, height], [0, height]]);
  });
  button("copy-ids", async () => {
    const ids = app.selected.map((point) => app.data.ids[point]).join("\n");
    app.announce((await copied(ids)) ? `${app.selected.length} ids copied` : "This browser refused to copy");
  });
  button("save-rows", () => {
    const clean = (text) => text.replace(/[\t\r\n]/g, " ");
    const lines = ["row\tid\tname\tgroup"].concat(app.selected.map((point) => [
      app.data.rows[point], clean(app.data.ids[point]), clean(app.data.names[point]),
      clean(app.groupNames(point)),
    ].join("\t")));
    const link = element("a", { download: "selected.tsv" });
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/tab-separated-values" }));
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { value: text, className: "quiet" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
