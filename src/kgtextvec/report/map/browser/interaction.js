// Pointer and keyboard on the map: move, zoom, pick, lasso.

const CLICK = 4; // CSS pixels a pointer may move and still be a click

export function startInteraction(app) {
  const { canvas, camera } = app;
  const pointers = new Map();
  let start = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    const lasso = pointers.size === 1 && (app.lasso || event.shiftKey);
    start = { place: at(event), lasso, moved: pointers.size > 1 };
    app.lassoPath = lasso ? [at(event)] : [];
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) return app.hover(app.near(...now), now);
    if (Math.hypot(now[0] - start.place[0], now[1] - start.place[1]) > CLICK) start.moved = true;
    if (start.lasso) {
      app.lassoPath.push(now);
      app.refresh();
    } else if (start.moved) {
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      if (others.length) {
        const spread = (place) => Math.hypot(place[0] - others[0][0], place[1] - others[0][1]);
        camera.zoomAt(spread(now) / Math.max(1, spread(before)), ...others[0]);
      } else {
        camera.pan(now[0] - before[0], now[1] - before[1]);
      }
      canvas.classList.add("moving");
      app.hover(-1);
    }
    pointers.set(event.pointerId, now);
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId) || pointers.size) return;
    canvas.classList.remove("moving");
    const path = app.lassoPath;
    app.lassoPath = [];
    if (start.lasso && start.moved) {
      app.selectWithin(path);
      app.setLasso(false);
    } else if (!start.moved && event.type === "pointerup") {
      app.pick(app.near(...at(event)), {});
    }
    app.refresh();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => app.hover(-1));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 18 : 1;
    camera.zoomAt(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) / 400), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => onMapKey(app, event));
  canvas.addEventListener("focus", () => app.setCrosshair(canvas.matches(":focus-visible")));
  canvas.addEventListener("blur", () => app.setCrosshair(false));
  addEventListener("keydown", (event) => onPageKey(app, event));
}

function onMapKey(app, event) {
  const step = event.shiftKey ? 200 : 60;
  const moves = {
    ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (moves[event.key]) app.camera.pan(...moves[event.key]);
  else if (event.key === "+" || event.key === "=") app.camera.zoomAt(1.35);
  else if (event.key === "-") app.camera.zoomAt(1 / 1.35);
  else if (event.key === "0" || event.key === "Home") app.camera.flyTo(0, 0, 0.92);
  else if (event.key === "Enter" || event.key === " ") {
    app.pick(app.near(app.camera.width / 2, app.camera.height / 2, Infinity), {});
  } else return;
  app.setCrosshair(true);
  event.preventDefault();
}

function onPageKey(app, event) {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (event.key === "Escape" && !typing) return app.stepBack();
  if (event.key === "Escape" && event.target.id === "search") return app.canvas.focus();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search").select();
    document.getElementById("search").focus();
  } else if (event.key === "l" || event.key === "L") app.setLasso(!app.lasso);
  else if (event.key === "t" || event.key === "T") app.setLayout((app.layout + 1) % app.data.layouts.length);
  else if (event.key === "n" || event.key === "N") app.setNames(!app.names);
}
