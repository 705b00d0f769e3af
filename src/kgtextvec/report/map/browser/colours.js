// Colours and shapes of groups come with each column of the data; a group has a unique pair of both.

// Circle, square, triangle, diamond, cross.
const PATHS = [
  "M8 2.5a5.5 5.5 0 1 0 .001 0z",
  "M3.2 3.2h9.6v9.6H3.2z",
  "M8 2l6.2 11H1.8z",
  "M8 1l7 7-7 7-7-7z",
  "M6 2h4v4h4v4h-4v4H6v-4H2V6h4z",
];

export const shapePath = (column, code) => PATHS[column.shapes[code]];

export function swatch(column, code, theme) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("width", "14");
  svg.setAttribute("height", "14");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", shapePath(column, code));
  path.setAttribute("fill", column.colours[theme][code]);
  svg.append(path);
  return svg;
}

export function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
}
