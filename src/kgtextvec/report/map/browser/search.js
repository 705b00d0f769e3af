// Search by name or id: a box with a list of hits; Enter flies to one.

import { element } from "./roving_tabindex.js";

const MOST_HITS = 12;

// Exact first, then what starts so, then where a word starts so, then anywhere; shorter first.
export function findHits(data, wanted) {
  wanted = wanted.trim().toLowerCase();
  if (!wanted) return [];
  data.lower ??= [data.names, data.ids].map((list) => list.map((text) => text.toLowerCase()));
  const hits = [];
  for (let i = 0; i < data.count; i++) {
    let best = 9;
    for (const list of data.lower) {
      const at = list[i].indexOf(wanted);
      if (at < 0) continue;
      const exact = list[i].length === wanted.length;
      const word = at > 0 && /[^\p{L}\p{N}]/u.test(list[i][at - 1]);
      best = Math.min(best, exact ? 0 : at === 0 ? 1 : word ? 2 : 3);
    }
    if (best < 9) hits.push([best, data.names[i].length, i]);
  }
  hits.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return hits.map((hit) => hit[2]);
}

export function startSearch(app) {
  const box = document.getElementById("search");
  const list = document.getElementById("hits");
  let hits = [];
  let at = -1;
  const close = () => {
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const mark = (to) => {
    at = to;
    [...list.children].forEach((item, i) => {
      if (item.role === "option") item.setAttribute("aria-selected", String(i === at));
    });
    list.children[at]?.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", `hit-${at}`);
  };
  const choose = (point) => {
    close();
    box.value = app.data.names[point];
    app.pick(point, { fly: true });
  };
  const update = () => {
    const found = findHits(app.data, box.value);
    hits = found.slice(0, MOST_HITS);
    const items = hits.map((point, i) => {
      const item = element("li", { id: `hit-${i}`, role: "option", "aria-selected": "false" });
      item.append(
        element("span", { textContent: app.data.names[point] || app.data.ids[point] }), " ",
        element("span", { className: "soft", textContent: app.groupNames(point) }),
      );
      item.addEventListener("pointerdown", (event) => event.preventDefault());
      item.addEventListener("click", () => choose(point));
      return item;
    });
    const more = found.length - hits.length;
    const message = !found.length ? "Nothing found" : more > 0 ? `${more.toLocaleString("en")} more` : "";
    if (message) items.push(element("li", { className: "soft", role: "presentation", textContent: message }));
    list.replaceChildren(...items);
    list.hidden = !box.value.trim();
    box.setAttribute("aria-expanded", String(!list.hidden));
    at = -1;
    if (hits.length) mark(0);
    app.announce(found.length ? `${found.length.toLocaleString("en")} hits` : message);
  };
  box.addEventListener("input", update);
  box.addEventListener("focus", () => box.value && update());
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) {
      close();
      event.stopPropagation();
      event.preventDefault();
    } else if (hits.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      mark((at + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length);
      event.preventDefault();
    } else if (event.key === "Enter" && hits[at] !== undefined) {
      choose(hits[at]);
    }
  });
}
