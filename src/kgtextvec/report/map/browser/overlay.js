// Drawn over the points: names of groups, lines to neighbours, rings, the lasso, the cross.

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

// The picked point and its neighbours, then the largest groups; a name that would overlap another
// one is left out until one zooms in.
function drawNames(app, pen, ink, ground) {
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  const taken = [];
  const write = (text, x, y, align, weight) => {
    const name = text.length > 30 ? `${text.slice(0, 29)}…` : text;
    pen.font = `${weight} 13px system-ui, "Segoe UI", "Noto Sans", Arial, sans-serif`;
    pen.textAlign = align;
    const wide = pen.measureText(name).width + 6;
    const left = align === "center" ? x - wide / 2 : x - 3;
    const box = [left, y - 10, left + wide, y + 10];
    if (box[2] < 0 || box[0] > app.camera.width || box[3] < 0 || box[1] > app.camera.height) return;
    if (taken.some((b) => box[0] < b[2] && b[0] < box[2] && box[1] < b[3] && b[1] < box[3])) return;
    taken.push(box);
    pen.strokeStyle = ground;
    pen.strokeText(name, x, y);
    pen.fillStyle = ink;
    pen.fillText(name, x, y);
  };
  if (app.picked >= 0) {
    const { names } = app.data;
    const [x, y] = app.place(app.picked);
    write(names[app.picked], x + 16, y, "left", 700);
    for (const { point } of app.neighbours) {
      if (!app.shown(point)) continue;
      const [left, top] = app.place(point);
      write(names[point], left + 12, top, "left", 400);
    }
  }
  const column = app.data.columns[app.column];
  if (!app.names) return;
  column.places[app.layout].forEach((place, code) => {
    if (!place || app.alphas()[code] < 0.5) return;
    write(column.groups[code], ...app.camera.toScreen(...place), "center", 600);
  });
}
