// Colours and shapes of groups. Eight colours, far apart also for colour-blind eyes, times five
// shapes; a group is known by both. Kept equal to report/colours.py by a test.

export const GROUPS = {
  light: ["#0072b2", "#ff8700", "#69b4a5", "#a52d5a", "#b487ff", "#d24b00", "#3c1e96", "#780f00"],
  dark: ["#3c69e1", "#ff8700", "#4bc3a5", "#966987", "#a596ff", "#d24b0f", "#87f0ff", "#f0e169"],
};
export const STEPS = {
  light: ["#9ecae1", "#6baed6", "#3787c0", "#105ba4", "#082a54"],
  dark: ["#2f5f9f", "#3f7fc4", "#6aa7e0", "#a3cdf2", "#eaf4ff"],
};
export const OTHERS = { light: "#8b919b", dark: "#79818d" };
const SHAPES = 5; // circle, square, triangle, diamond, cross

export function colourOf(column, code, theme) {
  if (column.kind === "steps") return STEPS[theme][code];
  return code === column.others ? OTHERS[theme] : GROUPS[theme][code % 8];
}

export function shapeOf(column, code) {
  if (column.kind === "steps" || code === column.others) return 0;
  return (code + Math.floor(code / 8)) % SHAPES;
}

const PATHS = [
  "M8 2.5a5.5 5.5 0 1 0 .001 0z",
  "M3.2 3.2h9.6v9.6H3.2z",
  "M8 2l6.2 11H1.8z",
  "M8 1l7 7-7 7-7-7z",
  "M6 2h4v4h4v4h-4v4H6v-4H2V6h4z",
];

export function swatch(column, code, theme) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("width", "14");
  svg.setAttribute("height", "14");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", PATHS[shapeOf(column, code)]);
  path.setAttribute("fill", colourOf(column, code, theme));
  svg.append(path);
  return svg;
}

export function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
}
