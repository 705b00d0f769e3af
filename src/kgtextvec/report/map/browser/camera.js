// Where we look: a centre and a zoom over the square [-1, 1] x [-1, 1] of a layout.

export class Camera {
  constructor(changed) {
    this.changed = changed;
    this.width = this.height = 1;
    this.flight = null; // the request for the next frame of a flight
    this.home();
  }

  home() {
    this.x = this.y = 0;
    this.zoom = 0.92;
  }

  // CSS pixels per unit; the square fits the shorter side at zoom 1.
  get scale() {
    return (Math.min(this.width, this.height) / 2) * this.zoom;
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toWorld(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y - (top - this.height / 2) / this.scale];
  }

  pan(right, down) {
    this.stop();
    this.x -= right / this.scale;
    this.y += down / this.scale;
    this.bound();
  }

  zoomAt(factor, left = this.width / 2, top = this.height / 2) {
    this.stop();
    const [x, y] = this.toWorld(left, top);
    this.zoom = Math.min(400, Math.max(0.3, this.zoom * factor));
    const [nowX, nowY] = this.toWorld(left, top);
    this.x += x - nowX;
    this.y += y - nowY;
    this.bound();
  }

  show(x, y, zoom) {
    this.stop();
    this.zoom = Math.min(400, Math.max(0.3, zoom));
    [this.x, this.y] = [x, y];
    this.bound();
  }

  bound() {
    this.x = Math.min(1.5, Math.max(-1.5, this.x));
    this.y = Math.min(1.5, Math.max(-1.5, this.y));
    this.changed();
  }

  stop() {
    cancelAnimationFrame(this.flight);
    this.flight = null;
  }

  // Fly in an arc, which shows where the place is; at once if the user wants no motion.
  flyTo(x, y, zoom, done = () => {}) {
    this.stop();
    const from = [this.x, this.y, Math.log(this.zoom)];
    const to = [x, y, Math.log(zoom)];
    const far = Math.hypot(x - from[0], y - from[1]) * Math.min(this.zoom, zoom);
    const dip = Math.min(1.5, far / 2);
    const noMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const length = noMotion ? 0 : 450 + 250 * dip;
    const start = performance.now();
    const step = (now) => {
      const t = length ? Math.min(1, Math.max(0, now - start) / length) : 1;
      const eased = t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2;
      [this.x, this.y] = [0, 1].map((axis) => from[axis] + (to[axis] - from[axis]) * eased);
      this.zoom = Math.exp(from[2] + (to[2] - from[2]) * eased - dip * Math.sin(Math.PI * eased));
      this.changed();
      this.flight = t < 1 ? requestAnimationFrame(step) : null;
      if (t >= 1) done();
    };
    this.flight = requestAnimationFrame(step);
  }
}
