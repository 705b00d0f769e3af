// The page: reads the data, holds the state (picked, hidden, selected points) and draws when it changes.

import { Camera } from "./camera.js";
import { startSelection } from "./selection.js";
import { neighboursOf, readData } from "./data.js";
import { startDetails } from "./details.js";
import { startInteraction } from "./interaction.js";
import { startLegend } from "./legend.js";
import { element } from "./roving_tabindex.js";
import { drawOverlay } from "./overlay.js";
import { Scene } from "./scene.js";
import { startSearch } from "./search.js";
import { openView, startSharing } from "./share.js";

const byId = (id) => document.getElementById(id);
const SWITCH = 700; // milliseconds from one layout to the other

class Map2d {
  constructor(data) {
    this.data = data;
    this.canvas = byId("points");
    this.layout = this.before = 0;
    this.switched = -Infinity;
    this.column = data.column;
    this.hidden = data.columns.map(() => new Set());
    this.emphasised = this.picked = this.hovered = -1;
    this.neighbours = [];
    this.selected = [];
    this.lassoPath = [];
    this.lasso = this.crosshair = false;
    this.names = true;
    this.scene = new Scene(this.canvas, data);
    this.camera = new Camera(() => {
      this.movedAt = performance.now();
      this.moved = true;
      this.refresh();
    });
  }

  // Place of a point in the square [-1, 1] x [-1, 1] of the present layout.
  world(i) {
    const positions = this.data.positions[this.layout];
    return [(positions[i] / 65535) * 2 - 1, (positions[this.data.count + i] / 65535) * 2 - 1];
  }

  place(i) {
    return this.camera.toScreen(...this.world(i));
  }

  shown(i) {
    return !this.hidden[this.column].has(this.data.columns[this.column].codes[i]);
  }

  countShown() {
    const { counts } = this.data.columns[this.column];
    return counts.reduce((sum, n, code) => (this.hidden[this.column].has(code) ? sum : sum + n), 0);
  }

  groupNames(i) {
    return this.data.columns[this.data.column].groups[this.data.columns[this.data.column].codes[i]];
  }

  alphas() {
    return this.data.columns[this.column].groups.map((_, code) => {
      if (this.hidden[this.column].has(code)) return 0;
      return this.emphasised >= 0 && this.emphasised !== code ? 0.1 : 0.88;
    });
  }

  moving(what) {
    const now = performance.now();
    if (now - this.switched < SWITCH) return true;
    // `moved`: since the last frame, which may have taken longer than the time below.
    return what !== "layout" && (this.moved || now - this.movedAt < 150);
  }

  // The shown point nearest to a place on the screen, or -1; every point is looked at, which
  // takes a millisecond per few hundred thousand and needs no index.
  near(left, top, reach = 14) {
    const [x, y] = this.camera.toWorld(left, top);
    const positions = this.data.positions[this.layout];
    const { count } = this.data;
    const { codes } = this.data.columns[this.column];
    const shown = this.data.columns[this.column].groups.map((_, code) => !this.hidden[this.column].has(code));
    const [wantX, wantY] = [((x + 1) / 2) * 65535, ((y + 1) / 2) * 65535];
    let best = ((reach / this.camera.scale) * 65535 / 2) ** 2;
    let found = -1;
    for (let i = 0; i < count; i++) {
      const far = (positions[i] - wantX) ** 2 + (positions[count + i] - wantY) ** 2;
      if (far <= best && shown[codes[i]]) {
        best = far;
        found = i;
      }
    }
    return found;
  }

  pick(point, { fly = false, focus = false }) {
    this.picked = point;
    this.neighbours = point < 0 ? [] : neighboursOf(this.data, point);
    this.hovered = -1;
    byId("tooltip").hidden = true;
    if (point >= 0 && !this.shown(point)) {
      this.hidden[this.column].delete(this.data.columns[this.column].codes[point]);
      this.drawLegend();
    }
    this.drawDetails(focus);
    if (fly) {
      this.camera.flyTo(...this.world(point), this.zoomFor(point));
    }
    if (point >= 0) this.announce(`${this.data.names[point]} picked`);
    this.refresh();
  }

  // Near enough that half of the neighbours are in the picture.
  zoomFor(point) {
    const [x, y] = this.world(point);
    const far = this.neighbours.map((other) => {
      const [otherX, otherY] = this.world(other.point);
      return Math.hypot(otherX - x, otherY - y);
    });
    const half = far.sort((a, b) => a - b)[far.length >> 1] ?? 1;
    return Math.min(40, Math.max(1.4, 0.32 / Math.max(half, 1e-6)));
  }

  hover(point, place = null) {
    if (point !== this.hovered) {
      this.hovered = point;
      this.canvas.classList.toggle("over", point >= 0 && place !== null);
      this.refresh();
    }
    const tooltip = byId("tooltip");
    tooltip.hidden = point < 0 || !place;
    if (tooltip.hidden) return;
    const column = this.data.columns[this.column];
    tooltip.replaceChildren(
      element("b", { textContent: this.data.names[point] || this.data.ids[point] }),
      element("span", { textContent: `${this.data.ids[point]} · ${column.groups[column.codes[point]]}` }),
    );
    const { offsetWidth: wide, offsetHeight: high } = tooltip;
    tooltip.style.left = `${Math.max(0, Math.min(place[0] + 14, this.camera.width - wide - 8))}px`;
    tooltip.style.top = `${place[1] + 18 + high > this.camera.height ? place[1] - high - 10 : place[1] + 18}px`;
  }

  emphasise(code) {
    if (code === this.emphasised) return;
    this.emphasised = code;
    this.refresh();
  }

  setColumn(column) {
    this.column = column;
    this.drawLegend();
    this.drawDetails();
    this.select(this.selected);
  }

  setLayout(layout) {
    if (layout === this.layout) return;
    const noMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.before = this.layout;
    this.layout = layout;
    this.switched = noMotion ? -Infinity : performance.now();
    byId("layouts").querySelectorAll("button").forEach((button, i) => {
      button.setAttribute("aria-checked", String(i === layout));
      button.tabIndex = i === layout ? 0 : -1;
    });
    this.announce(`Layout ${this.data.layouts[layout].name}`);
    this.refresh();
  }

  setLasso(on) {
    this.lasso = on;
    byId("lasso-button").setAttribute("aria-pressed", String(on));
    this.canvas.classList.toggle("lasso", on);
    if (on) this.announce("Lasso: draw round the points to select");
  }

  setNames(on) {
    this.names = on;
    byId("names-button").setAttribute("aria-pressed", String(on));
    this.refresh();
  }

  setCrosshair(on) {
    this.crosshair = on;
    this.refresh();
  }

  setTheme(theme) {
    this.theme = theme;
    document.documentElement.dataset.theme = theme;
    byId("theme-button").setAttribute("aria-pressed", String(theme === "dark"));
    this.drawLegend();
    this.drawDetails();
    this.select(this.selected);
  }

  stepBack() {
    if (this.lasso) this.setLasso(false);
    else if (this.selected.length) this.select([]);
    else if (this.picked >= 0) this.pick(-1, {});
  }

  announce(text) {
    byId("status").textContent = text;
  }

  refresh() {
    this.waiting ??= requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.waiting = null;
    const moving = this.moving();
    this.moved = false;
    if (moving && this.wasMoving) this.scene.pace(now - this.lastFrame);
    this.lastFrame = now;
    this.wasMoving = moving;
    const t = Math.min(1, Math.max(0, (performance.now() - this.switched) / SWITCH));
    this.scene.draw({
      camera: this.camera, ratio: this.ratio, column: this.column, theme: this.theme, moving,
      alphas: this.alphas(), from: this.before, to: this.layout, mixed: t * t * (3 - 2 * t),
      fade: this.selected.length ? 0.15 : 1,
    });
    drawOverlay(this, byId("overlay"));
    this.viewChanged();
    this.frames = (this.frames ?? 0) + 1;
    if (moving) this.refresh();
  }

  resize() {
    this.ratio = Math.min(3, devicePixelRatio || 1);
    this.camera.width = this.canvas.clientWidth;
    this.camera.height = this.canvas.clientHeight;
    this.refresh();
  }
}

function startControls(app) {
  const click = (id, action) => byId(id).addEventListener("click", action);
  click("zoom-in", () => app.camera.zoomAt(1.5));
  click("zoom-out", () => app.camera.zoomAt(1 / 1.5));
  click("zoom-all", () => app.camera.flyTo(0, 0, 0.92));
  click("lasso-button", () => app.setLasso(!app.lasso));
  click("names-button", () => app.setNames(!app.names));
  click("theme-button", () => app.setTheme(app.theme === "dark" ? "light" : "dark"));
  click("help-button", () => byId("help").showModal());
  const layouts = byId("layouts");
  app.data.layouts.forEach((layout, i) => {
    const button = element("button", {
      type: "button", role: "radio", textContent: layout.name, "aria-checked": String(!i), tabIndex: i && -1,
    });
    button.addEventListener("click", () => app.setLayout(i));
    layouts.append(button);
  });
  layouts.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const { length } = app.data.layouts;
    app.setLayout((app.layout + step + length) % length);
    layouts.children[app.layout].focus();
  });
  new ResizeObserver(() => app.resize()).observe(app.canvas);
  app.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  app.canvas.addEventListener("webglcontextrestored", () => {
    app.scene.build();
    app.select(app.selected);
  });
}

async function start() {
  const data = await readData();
  byId("facts").textContent = data.facts;
  byId("note").textContent = data.note;
  byId("note").hidden = !data.note;
  byId("points").setAttribute("aria-label", `Map of ${data.count.toLocaleString("en")} vectors`);
  const app = new Map2d(data);
  for (const begin of [startLegend, startDetails, startSelection, startSearch, startInteraction, startSharing, startControls]) {
    begin(app);
  }
  app.resize();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  app.setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => app.setTheme(dark.matches ? "dark" : "light"));
  openView(app);
  app.announce("");
  globalThis.kgtextvecMap = app;
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  document.querySelector("main").hidden = true;
  byId("failure").hidden = false;
  byId("failure").textContent =
    `This map cannot be drawn here (${error.message}). It needs WebGL and a browser of 2024 or ` +
    "later; the pictures map.png and map.svg next to this file show the same layouts.";
});
