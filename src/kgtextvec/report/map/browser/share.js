// The view in the page's address, so that a link leads to it; the view as a file.

import { shapePath } from "./colours.js";
import { placedNames, pointsInView } from "./overlay.js";
import { element } from "./roving_tabindex.js";
import { copied } from "./selection.js";

const SETTLED = 250; // milliseconds without a change, after which the address follows
const MOST_IN_SVG = 50000;

export function startSharing(app) {
  const click = (id, action) => document.getElementById(id).addEventListener("click", action);
  let waiting = 0;
  app.viewChanged = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(null, "", viewAddress(app)), SETTLED);
  };
  addEventListener("hashchange", () => openView(app));
  click("copy-link", async () => {
    const link = new URL(viewAddress(app), location.href).href;
    app.announce((await copied(link)) ? "Link to this view copied" : "This browser refused to copy");
  });
  click("save-png", () => savePng(app));
  click("save-svg", () => saveSvg(app));
  startPrinting(app);
}

function viewAddress(app) {
  const { camera, data } = app;
  const view = new URLSearchParams({
    layout: data.layouts[app.layout].key,
    colour: data.columns[app.column].name,
    x: camera.x.toFixed(4),
    y: camera.y.toFixed(4),
    zoom: camera.zoom.toFixed(3),
  });
  if (app.hidden[app.column].size) view.set("hide", [...app.hidden[app.column]].join("."));
  if (app.picked >= 0) view.set("pick", data.ids[app.picked]);
  return `#${view}`;
}

// Show the view that the address names; what it does not name, or names wrongly, stays.
export function openView(app) {
  const view = new URLSearchParams(location.hash.slice(1));
  const { data, camera } = app;
  const column = data.columns.findIndex((one) => one.name === view.get("colour"));
  if (column >= 0) {
    const codes = (view.get("hide") ?? "").split(".").filter(Boolean).map(Number);
    app.hidden[column] = new Set(codes.filter((code) => code < data.columns[column].groups.length));
    app.setColumn(column);
  }
  const layout = data.layouts.findIndex((one) => one.key === view.get("layout"));
  if (layout >= 0) app.setLayout(layout);
  const pick = view.has("pick") ? data.ids.indexOf(view.get("pick")) : -1;
  if (pick >= 0) app.pick(pick, {});
  const [x, y, zoom] = ["x", "y", "zoom"].map((name) => Number.parseFloat(view.get(name)));
  if ([x, y, zoom].every(Number.isFinite)) camera.show(x, y, zoom);
}

function save(name, blob) {
  const link = element("a", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  URL.revokeObjectURL(link.href);
}

// Draws the view, points and names, on another canvas.
function drawView(app, picture) {
  app.frame(performance.now()); // the picture is only there until the browser shows it
  Object.assign(picture, { width: app.canvas.width, height: app.canvas.height });
  const pen = picture.getContext("2d");
  pen.fillStyle = getComputedStyle(app.canvas.parentElement).backgroundColor;
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(app.canvas, 0, 0);
  pen.drawImage(document.getElementById("overlay"), 0, 0);
  return picture;
}

// On paper the map is light, and a copy: a browser prints no picture of WebGL.
function startPrinting(app) {
  let theme = "light";
  addEventListener("beforeprint", () => {
    theme = app.theme;
    app.setTheme("light");
    drawView(app, document.getElementById("printed"));
  });
  addEventListener("afterprint", () => app.setTheme(theme));
}

function savePng(app) {
  drawView(app, element("canvas")).toBlob((blob) => save("map-view.png", blob));
}

function saveSvg(app) {
  const points = pointsInView(app, MOST_IN_SVG);
  if (!points.length) {
    return app.announce(`An SVG holds up to ${MOST_IN_SVG.toLocaleString("en")} points: zoom in, or save a PNG`);
  }
  const { camera, data, theme } = app;
  const column = data.columns[app.column];
  const style = getComputedStyle(document.getElementById("overlay"));
  const ground = getComputedStyle(app.canvas.parentElement).backgroundColor;
  const size = app.scene.pointSize(camera) / 16;
  const escape = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${camera.width}" height="${camera.height}">`,
    `<rect width="100%" height="100%" fill="${ground}"/>`,
    ...points.map((point) => {
      const code = column.codes[point];
      const [x, y] = app.place(point).map((value) => value.toFixed(2));
      return `<path d="${shapePath(column, code)}" fill="${column.colours[theme][code]}" opacity="0.88"`
        + ` transform="translate(${x} ${y}) scale(${size.toFixed(3)}) translate(-8 -8)"/>`;
    }),
    ...placedNames(app, document.createElement("canvas").getContext("2d")).map(
      ({ text, x, y, align, font }) => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"`
        + ` text-anchor="${{ left: "start", center: "middle", right: "end" }[align]}" dominant-baseline="central"`
        + ` fill="${style.color}" stroke="${ground}" stroke-width="4" stroke-linejoin="round"`
        + ` paint-order="stroke" style="${escape(`font: ${font}`)}">${escape(text)}</text>`,
    ),
    "</svg>",
  ];
  save("map-view.svg", new Blob([lines.join("\n")], { type: "image/svg+xml" }));
}
