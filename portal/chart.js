// Charts: lines of the last minutes and intervals around zero, as SVG, and bars.

import { element } from "./card.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, EDGE] = [320, 90, 4];

const node = (tag, attributes) => {
  const created = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  return created;
};

// Return the chart of one metric: `values`, oldest first, in `room` slots; null is a gap.
export function chart({ title, note, values, slots, show }) {
  const numbers = values.filter((value) => value !== null);
  const now = numbers.length ? show(numbers.at(-1)) : "–";
  const maximum = Math.max(...numbers, 0);
  const figure = element("figure", "panel chart");
  const caption = element("figcaption");
  caption.append(element("span", "", title), element("b", "", now));
  const drawing = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  drawing.setAttribute("aria-label", `${title}: now ${now}, at most ${numbers.length ? show(maximum) : "unknown"}`);
  const x = (index) => WIDTH - ((values.length - 1 - index) * WIDTH) / (slots - 1);
  const y = (value) => HEIGHT - EDGE - (value / (maximum || 1)) * (HEIGHT - 2 * EDGE);
  const points = values.flatMap((value, index) => (value === null ? [] : [[x(index), y(value)]]));
  drawing.append(node("line", { x1: 0, x2: WIDTH, y1: HEIGHT - EDGE, y2: HEIGHT - EDGE, class: "ground" }));
  if (points.length > 1) {
    const line = points.map((point) => point.map((coordinate) => coordinate.toFixed(1)).join(",")).join(" ");
    drawing.append(
      node("polygon", { points: `${points[0][0]},${HEIGHT - EDGE} ${line} ${points.at(-1)[0]},${HEIGHT - EDGE}`, class: "under" }),
      node("polyline", { points: line, class: "line" }),
    );
  }
  figure.append(caption, drawing, element("p", "quiet", note));
  return figure;
}

// Return an interval as a bar around zero, on a scale from -limit to limit; the text beside it says the same.
// An end beyond the scale, or without a bound (null), is an arrow.
export function intervalChart({ low, middle, high, limit }) {
  const [width, height] = [200, 20];
  const drawing = node("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "interval" });
  drawing.append(node("line", { x1: width / 2, x2: width / 2, y1: 0, y2: height, class: "zero" }));
  if (middle === null) return drawing;
  const x = (value) => (width / 2) * (1 + Math.min(1, Math.max(-1, value / limit)));
  const [left, right] = [x(low ?? -Infinity), x(high ?? Infinity)];
  const start = Math.min(left, width - 6);
  drawing.append(node("rect", { x: start, width: Math.max(6, right - start), y: 5, height: 10, class: "reach" }));
  if (Math.abs(middle) <= limit) drawing.append(node("line", { x1: x(middle), x2: x(middle), y1: 2, y2: 18, class: "middle" }));
  if ((low ?? -Infinity) < -limit) drawing.append(node("polygon", { points: "5,3 0,10 5,17", class: "beyond" }));
  if ((high ?? Infinity) > limit) drawing.append(node("polygon", { points: `${width - 5},3 ${width},10 ${width - 5},17`, class: "beyond" }));
  return drawing;
}

// Return a row of a list: a name, a bar proportional to its share, and a value.
export function bar(name, share, value, colour) {
  const line = element("li", "part");
  const fill = element("span", "part-bar");
  fill.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  const track = element("span", "part-track");
  track.append(fill);
  line.style.setProperty("--part", colour);
  line.append(element("span", "part-name", name), track, element("span", "part-value", value));
  return line;
}
