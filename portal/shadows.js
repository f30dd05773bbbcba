// The arms of a shadow: how their lists, which nobody sees, differ from those shown.

import { element } from "./card.js";
import { formatShare } from "./format.js";

const SPANS = { last_hour: "last hour", total: "in all" };
const MAX_SHARES = 8;
const number = (value, digits) => (typeof value === "number" ? value.toFixed(digits) : "–");
const share = (value) => (typeof value === "number" ? formatShare(value) : "–");
const signed = (value) => (typeof value === "number" ? `${value > 0 ? "+" : ""}${value.toFixed(2)}` : "–");
const COLUMNS = {
  Rankings: ({ rankings }) => rankings.toLocaleString("en"),
  "Overlap@10": (figures) => number(figures["overlap@10"], 3),
  "Rank-biased overlap": ({ rank_biased_overlap: value }) => number(value, 3),
  "Other first item": ({ first_place_changes: value }) => share(value),
  "Score difference": ({ score_difference: value }) => signed(value),
  "Time, shown": ({ ranking_ms: value, shown_ranking_ms: shown }) => `${number(value, 1)} ms, ${number(shown, 1)} ms`,
};

// Return the tables of a shadow: its arms, then the sources and categories of each.
export function shadowTables(arms, results) {
  const figures = new Map((results?.arms ?? []).map((arm) => [arm.name, arm.shadow]));
  const table = tableOf(["Arm", ...Object.keys(COLUMNS)]);
  for (const [index, { name, parameters }] of arms.entries()) {
    const shadow = figures.get(name);
    for (const [span, label] of index && shadow ? Object.entries(SPANS) : [["none", index ? "" : "shown"]]) {
      const cells = Object.values(COLUMNS).map((text) => (shadow?.[span] ? text(shadow[span]) : "–"));
      const notes = [label, span === "last_hour" ? "" : parametersOf(parameters)].filter(Boolean).join(" · ");
      addRow(table, name, notes, cells);
    }
  }
  const shadows = arms.slice(1).flatMap(({ name }) => (figures.get(name) ? [[name, figures.get(name).total]] : []));
  return [scroller(table), ...shadows.flatMap(([name, total]) => [...shareTable(name, "Source", total.sources), ...shareTable(name, "Category", total.categories)])];
}

const parametersOf = (parameters) => Object.entries(parameters).map((pair) => pair.join("=")).sort().join(" · ");

// Return a box in which a wide table moves sideways on narrow screens.
function scroller(table) {
  const box = element("div", "scroller");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Figures of the shadow");
  box.append(table);
  return box;
}

function shareTable(name, title, shares) {
  if (!shares.length) return [];
  const table = tableOf([`${title} of ${name}`, "Shown", "Shadow"]);
  for (const { label, shown_share: shown, shadow_share: shadow } of shares.slice(0, MAX_SHARES)) {
    addRow(table, label || "(none)", "", [formatShare(shown), formatShare(shadow)]);
  }
  return [table];
}

function tableOf(titles) {
  const table = element("table", "arms");
  const head = table.createTHead().insertRow();
  head.append(...titles.map((text) => element("th", "", text)));
  for (const cell of head.cells) cell.scope = "col";
  table.createTBody();
  return table;
}

function addRow(table, title, notes, cells) {
  const row = table.tBodies[0].insertRow();
  const head = element("th", "", title);
  head.scope = "row";
  head.append(element("span", "quiet", notes));
  row.append(head, ...cells.map((text) => element("td", "", text)));
}
