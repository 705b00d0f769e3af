// Colours and shapes of groups come with each column of the data; a group has a unique pair of both.

// Circle, square, triangle, diamond, cross, triangle down, x, star.
const PATHS = [
  "M8 2.5a5.5 5.5 0 1 0 .001 0z",
  "M3.2 3.2h9.6v9.6H3.2z",
  "M8 2l6.2 11H1.8z",
  "M8 1l7 7-7 7-7-7z",
  "M6 2h4v4h4v4h-4v4H6v-4H2V6h4z",
  "M8 14l6.2-11H1.8z",
  "M10.8 2.3 13.7 5.2 10.8 8 13.7 10.8 10.8 13.7 8 10.8 5.2 13.7 2.3 10.8 5.2 8 2.3 5.2 5.2 2.3 8 5.2z",
  "M8 1 9.9 5.8 15 6.1 11 9.4 12.3 14.4 8 11.6 3.7 14.4 5 9.4 1 6.1 6.1 5.8z",
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
