// Lists with a roving tabindex (one stop of the tab key; arrow keys move inside), and elements.

// Everything from the data goes through textContent: a name is never read as HTML.
export function element(tag, settings = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// One stop of the tab key per list; arrows, Home and End move between its buttons.
export function addRovingTabindex(list) {
  list.addEventListener("keydown", (event) => {
    const rows = [...list.querySelectorAll("li:not([hidden]) .row")];
    const at = rows.indexOf(event.target.closest("li")?.querySelector(".row"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || !rows[to]) return;
    event.preventDefault();
    rows.forEach((row, i) => (row.tabIndex = i === to ? 0 : -1));
    rows[to].focus();
  });
}

export function fillList(list, rows) {
  list.replaceChildren(...rows);
  list.querySelectorAll(".row").forEach((row, i) => (row.tabIndex = i ? -1 : 0));
}
