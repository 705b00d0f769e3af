// Drawn over the points: names of groups, lines to neighbours, rings, the lasso, the cross.

const MOST_NAMED = 300; // points in the view whose names are written
const LONGEST = 30; // characters of a name
const FAMILY = 'system-ui, "Segoe UI", "Noto Sans", Arial, sans-serif';

export function drawOverlay(app, canvas) {
  const { camera, ratio } = app;
  const width = Math.round(camera.width * ratio);
  const height = Math.round(camera.height * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, camera.width, camera.height);
  const style = getComputedStyle(canvas);
  const ink = style.getPropertyValue("color");
  const ground = getComputedStyle(canvas.parentElement).backgroundColor;
  if (app.lassoPath.length) {
    pen.beginPath();
    for (const [left, top] of app.lassoPath) pen.lineTo(left, top);
    pen.closePath();
    pen.strokeStyle = ink;
    pen.setLineDash([5, 4]);
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 0.08;
    pen.fillStyle = ink;
    pen.fill();
    pen.globalAlpha = 1;
  }
  if (app.moving("layout")) return;
  if (app.picked >= 0) {
    const [fromX, fromY] = app.place(app.picked);
    pen.strokeStyle = ink;
    for (const { point } of app.neighbours) {
      if (!app.shown(point)) continue;
      const [x, y] = app.place(point);
      pen.globalAlpha = 0.55;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(fromX, fromY);
      pen.lineTo(x, y);
      pen.stroke();
      pen.globalAlpha = 1;
      ring(pen, x, y, 8, 1.5, ink, ground);
    }
    ring(pen, fromX, fromY, 11, 3, ink, ground);
  }
  drawNames(app, pen, ink, ground);
  if (app.hovered >= 0 && app.hovered !== app.picked) {
    ring(pen, ...app.place(app.hovered), 7, 2, ink, ground);
  }
  if (app.crosshair) {
    const [x, y] = [camera.width / 2, camera.height / 2];
    for (const [colour, thick] of [[ground, 4], [ink, 1.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.beginPath();
      pen.moveTo(x - 9, y);
      pen.lineTo(x + 9, y);
      pen.moveTo(x, y - 9);
      pen.lineTo(x, y + 9);
      pen.stroke();
    }
  }
}

function ring(pen, x, y, radius, thick, ink, ground) {
  for (const [colour, width] of [[ground, thick + 2], [ink, thick]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.stroke();
  }
}

// Writes the names; one that would overlap another is left out until one zooms in.
function drawNames(app, pen, ink, ground) {
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  for (const { text, x, y, align, font } of placedNames(app, pen)) {
    pen.font = font;
    pen.textAlign = align;
    pen.strokeStyle = ground;
    pen.strokeText(text, x, y);
    pen.fillStyle = ink;
    pen.fillText(text, x, y);
  }
}

// The buttons on the map, as a box in its pixels: no name lies under them.
function boxOfTools(app) {
  const tools = document.querySelector(".map-tools").getBoundingClientRect();
  const map = app.canvas.getBoundingClientRect();
  return [tools.left - map.left, tools.top - map.top, tools.right - map.left, tools.bottom - map.top];
}

// Names in the view that don't overlap: the picked point and its neighbours, then the groups, the
// largest first, then points, if there are few enough in the view. `pen` measures them.
export function placedNames(app, pen) {
  const found = [];
  const taken = [boxOfTools(app)];
  const write = (name, x, y, align, weight, size = 13) => {
    const text = name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
    const font = `${weight} ${size}px ${FAMILY}`;
    pen.font = font;
    const wide = pen.measureText(text).width + 6;
    const left = x - { left: 3, center: wide / 2, right: wide - 3 }[align];
    const half = size * 0.75;
    const box = [left, y - half, left + wide, y + half];
    // A name that the picture's edge would cut is left out, but not that of the picked point.
    const room = weight === 700 ? -Infinity : 0;
    if (box[0] < room || box[1] < room || box[2] > app.camera.width - room || box[3] > app.camera.height - room) return false;
    if (taken.some((b) => box[0] < b[2] && b[0] < box[2] && box[1] < b[3] && b[1] < box[3])) return false;
    taken.push(box);
    found.push({ text, x, y, align, font });
    return true;
  };
  const { names, ids } = app.data;
  if (app.picked >= 0) {
    const [x, y] = app.place(app.picked);
    write(names[app.picked], x + 16, y, "left", 700);
    for (const { point } of app.neighbours) {
      if (!app.shown(point)) continue;
      const [left, top] = app.place(point);
      write(names[point], left + 12, top, "left", 400);
    }
  }
  if (!app.names) return found;
  const column = app.data.columns[app.column];
  column.places[app.layout].forEach((place, code) => {
    if (!place || app.alphas()[code] < 0.5) return;
    write(column.groups[code], ...app.camera.toScreen(...place), "center", 600);
  });
  const radius = app.scene.pointSize(app.camera) / 2;
  const points = pointsInView(app, MOST_NAMED).map((point) => [point, ...app.place(point)]);
  for (const [, x, y] of points) taken.push([x - radius, y - radius, x + radius, y + radius]);
  for (const [point, x, y] of points) {
    const name = names[point] || ids[point];
    const room = app.camera.width;
    // To the right of the point if it stays in the picture, else above or below it.
    [[x + radius + 4, y, "left"], [x - radius - 4, y, "right"], [x, y - radius - 11, "center"],
      [x, y + radius + 11, "center"]].some(([left, top, align]) => {
      pen.font = `400 12px ${FAMILY}`;
      const wide = Math.min(pen.measureText(name).width, 190);
      const start = left - { left: 0, center: wide / 2, right: wide }[align];
      return start >= 0 && start + wide <= room && write(name, left, top, align, 400, 12);
    });
  }
  return found;
}

// The shown points in the view, or none when there are more than `most`.
export function pointsInView(app, most) {
  const { camera, data } = app;
  const stored = (value) => ((value + 1) / 2) * 65535;
  const [left, top] = camera.toWorld(0, 0).map(stored);
  const [right, bottom] = camera.toWorld(camera.width, camera.height).map(stored);
  const positions = data.positions[app.layout];
  const found = [];
  for (let i = 0, j = data.count; i < data.count; i++, j++) {
    if (positions[i] < left || positions[i] > right) continue;
    if (positions[j] < bottom || positions[j] > top || !app.shown(i)) continue;
    if (found.length === most) return [];
    found.push(i);
  }
  return found;
}
