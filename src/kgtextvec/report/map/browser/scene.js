// The points, by WebGL: one draw call, colours and shapes looked up by group.
//
// Points lie in the buffers in a random order, so that no group hides another entirely and any
// first part is a fair sample: while the view moves, a slow machine draws as many as it can.

import { rgb } from "./colours.js";

const MOST_GROUPS = 65; // 64 and the others: uniform vectors, of which every device has 128
const FIRST_BUDGET = 200000; // points drawn while the view moves, until frames were timed
const VERTEX = `
attribute vec2 here, there;
attribute float group, selected;
uniform vec4 view;
uniform float size, mixed, fade;
uniform vec4 colours[${MOST_GROUPS}]; // red, green, blue, shape + opacity
varying vec4 colour;
varying float shape, wide;
void main() {
  vec2 place = mix(here, there, mixed) * 2.0 - 1.0;
  colour = colours[int(group)];
  shape = floor(colour.a);
  colour.a -= shape;
  wide = selected > 0.5 ? size + 2.0 : size;
  bool shown = colour.a > 0.0;
  colour.a *= selected > 0.5 ? 1.0 : fade;
  gl_Position = vec4((place - view.xy) * view.zw, shown ? 0.0 : 9.0, 1.0);
  gl_PointSize = wide;
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 colour;
varying float shape, wide;
// Signed distance to a five-pointed star (Quilez, "2D distance functions"), its tip up.
float star(vec2 p) {
  vec2 k = vec2(0.809017, -0.587785);
  p.x = abs(p.x);
  p -= 2.0 * max(dot(k, p), 0.0) * k;
  p -= 2.0 * max(dot(vec2(-k.x, k.y), p), 0.0) * vec2(-k.x, k.y);
  p = vec2(abs(p.x), p.y - 1.0);
  vec2 side = 0.45 * vec2(-k.y, k.x) - vec2(0.0, 1.0);
  float along = clamp(dot(p, side) / dot(side, side), 0.0, 1.0);
  return length(p - side * along) * sign(p.y * side.x - p.x * side.y);
}
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  vec2 q = abs(p);
  float edge = length(p) - 0.9;
  if (shape > 6.5) edge = star(vec2(p.x, -p.y));
  else if (shape > 5.5) {
    vec2 turned = abs(vec2(p.x + p.y, p.x - p.y)) * 0.7071;
    edge = max(max(turned.x, turned.y) - 1.05, min(turned.x, turned.y) - 0.34);
  }
  else if (shape > 4.5) edge = max(q.x * 0.87 + p.y * 0.5 - 0.5, -p.y - 0.75);
  else if (shape > 3.5) edge = max(max(q.x, q.y) - 0.95, min(q.x, q.y) - 0.34);
  else if (shape > 2.5) edge = (q.x + q.y - 1.0) * 0.8;
  else if (shape > 1.5) edge = max(q.x * 0.87 - p.y * 0.5 - 0.5, p.y - 0.75);
  else if (shape > 0.5) edge = max(q.x, q.y) - 0.78;
  float cover = clamp(0.5 - edge * wide * 0.5, 0.0, 1.0);
  if (cover <= 0.0) discard;
  gl_FragColor = vec4(colour.rgb, 1.0) * colour.a * cover;
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(gl.getProgramInfoLog(made));
  }
  return made;
}

// Always the same random order: a reload shows the same picture.
function shuffled(count) {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let seed = 1;
  for (let i = count - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 4294967296) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

export class Scene {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.order = shuffled(data.count);
    this.budget = Math.min(data.count, FIRST_BUDGET);
    this.gl = canvas.getContext("webgl", { antialias: false, alpha: true, depth: false });
    if (!this.gl) throw new Error("WebGL is not available");
    this.build();
  }

  // Also called when the browser took the graphics context away and gave it back.
  build() {
    const { gl, data } = this;
    this.program = program(gl);
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.places = data.positions.map((positions) => {
      const mixed = new Uint16Array(2 * data.count);
      this.order.forEach((point, i) => {
        mixed[2 * i] = positions[point];
        mixed[2 * i + 1] = positions[data.count + point];
      });
      return this.buffer(mixed);
    });
    this.groups = data.columns.map((column) => this.buffer(this.inOrder(column.codes)));
    this.selected = this.buffer(new Uint8Array(data.count));
    this.uniforms = {};
    for (const name of ["view", "size", "mixed", "fade", "colours"]) {
      this.uniforms[name] = gl.getUniformLocation(this.program, name);
    }
  }

  inOrder(values) {
    const ordered = new Uint8Array(this.order.length);
    for (let i = 0; i < ordered.length; i++) ordered[i] = values[this.order[i]];
    return ordered;
  }

  buffer(values) {
    const buffer = this.gl.createBuffer();
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.STATIC_DRAW);
    return buffer;
  }

  setSelected(selected) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.selected);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, this.inOrder(selected), this.gl.DYNAMIC_DRAW);
  }

  feed(name, buffer, size, type, normalised) {
    const at = this.gl.getAttribLocation(this.program, name);
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.enableVertexAttribArray(at);
    this.gl.vertexAttribPointer(at, size, type, normalised, 0, 0);
  }

  // `alphas` holds one opacity per group, 0 hides it; `mixed` runs from layout `from` to `to`.
  draw({ camera, ratio, column, theme, alphas, from, to, mixed, fade, moving }) {
    const { gl, uniforms, canvas } = this;
    const width = Math.max(1, Math.round(camera.width * ratio));
    const height = Math.max(1, Math.round(camera.height * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    this.feed("here", this.places[from], 2, gl.UNSIGNED_SHORT, true);
    this.feed("there", this.places[to], 2, gl.UNSIGNED_SHORT, true);
    this.feed("group", this.groups[column], 1, gl.UNSIGNED_BYTE, false);
    this.feed("selected", this.selected, 1, gl.UNSIGNED_BYTE, false);
    const { scale } = camera;
    gl.uniform4f(
      uniforms.view, camera.x, camera.y, (2 * scale) / camera.width, (2 * scale) / camera.height,
    );
    gl.uniform1f(uniforms.size, this.pointSize(camera) * ratio);
    gl.uniform1f(uniforms.mixed, mixed);
    gl.uniform1f(uniforms.fade, fade);
    const described = this.data.columns[column];
    const colours = new Float32Array(4 * MOST_GROUPS);
    alphas.forEach((alpha, code) => {
      colours.set([...rgb(described.colours[theme][code]), described.shapes[code] + alpha], 4 * code);
    });
    gl.uniform4fv(uniforms.colours, colours);
    gl.drawArrays(gl.POINTS, 0, moving ? Math.min(this.budget, this.data.count) : this.data.count);
  }

  pointSize(camera) {
    const base = Math.min(11, Math.max(2.2, 64 / this.data.count ** 0.29));
    return Math.min(16, base * Math.max(1, camera.zoom) ** 0.35);
  }

  // Adjusts the budget to how long the last frame of a movement took: aim at 30 frames a second.
  // Below 20,000 points something else takes the time.
  pace(milliseconds) {
    const { count } = this.data;
    if (milliseconds > 36) this.budget *= Math.max(0.2, 30 / milliseconds);
    else if (milliseconds < 26) this.budget *= 1.15;
    this.budget = Math.min(count, Math.max(20000, this.budget));
  }
}
