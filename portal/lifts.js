// The lifts of an arm of an experiment: each metric against the control arm, with its interval as a bar around zero.

import { element } from "./card.js";
import { intervalChart } from "./chart.js";
import { formatLift, formatRate } from "./format.js";

// The metrics of domain/experiment_results.py: label, direction of a gain (0 for neither), and form of the values.
const METRICS = {
  click_through_rate: ["Click-through rate", 1, formatRate],
  conversion_rate: ["Conversion rate", 1, formatRate],
  dwell_ms: ["Time on an item", 1, (value) => `${(value / 1_000).toFixed(1)} s`],
  skip_rate: ["Skip rate", -1, formatRate],
  dislike_rate: ["Dislike rate", -1, formatRate],
  items_shown: ["Items shown to a user", 0, (value) => value.toFixed(1)],
  ndcg: ["NDCG", 1, (value) => value.toFixed(3)],
  diversity: ["Diversity", 0, formatRate],
  novelty: ["Novelty", 0, (value) => `${value.toFixed(2)} bits`],
};
const LIMITS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]; // ends of the scale, as lifts

const describe = (metric) => METRICS[metric] ?? [metric.replaceAll("_", " "), 0, (value) => value.toPrecision(4)];

export const metricLabel = (metric) => describe(metric)[0];

// Return what an interval says: its words, and the tone of its colour.
function verdictOf({ lift, lift_low: low, lift_high: high }, direction) {
  if (lift === null) return ["not enough evidence", "undecided"];
  const sign = low > 0 ? 1 : high !== null && high < 0 ? -1 : 0;
  if (!sign) return ["no difference yet", "undecided"];
  if (!direction) return [sign > 0 ? "higher" : "lower", "neutral"];
  return sign === direction ? ["better", "better"] : ["worse", "worse"];
}

// Return the end of a scale that holds the metric that decides, and at least half of the others. What is beyond is cut.
function limitOf(arms, decisive) {
  const reach = (figures) => Math.max(Math.abs(figures.lift_low ?? -Infinity), Math.abs(figures.lift_high ?? Infinity));
  const reaches = arms.flatMap(({ metrics }) => Object.values(metrics).filter(({ lift }) => lift !== null).map(reach)).sort((left, right) => left - right);
  const least = arms.flatMap(({ metrics }) => (metrics[decisive] && metrics[decisive].lift !== null ? [reach(metrics[decisive])] : []));
  const target = Math.max(reaches[Math.floor(reaches.length / 2)] ?? 0, ...least);
  return LIMITS.find((limit) => limit >= target) ?? LIMITS.at(-1);
}

// Return the lists of lifts of the arms but the control arm, on one scale.
export function liftLists(results, arms, decisive) {
  const control = arms.find(({ name }) => name === results.control);
  const others = arms.filter(({ name }) => name !== results.control);
  const limit = limitOf(others, decisive);
  return others.flatMap((arm) => {
    const title = element("h4");
    title.append(arm.name, element("span", "quiet", ` against ${results.control}`));
    const list = element("ul", "lifts");
    const metrics = Object.keys(arm.metrics).sort((left, right) => (right === decisive) - (left === decisive));
    list.append(...metrics.map((metric) => liftRow(metric, arm, control, { limit, decides: metric === decisive })));
    return metrics.length ? [title, scale(limit), list] : [title, element("p", "quiet", "No users yet.")];
  });
}

function scale(limit) {
  const line = element("p", "lift-scale quiet");
  line.setAttribute("aria-hidden", "true");
  const ticks = element("span");
  ticks.append(...[-limit, 0, limit].map((value) => element("span", "", formatLift(value))));
  line.append(ticks);
  return line;
}

function liftRow(metric, arm, control, { limit, decides }) {
  const figures = arm.metrics[metric];
  const [label, direction, show] = describe(metric);
  const [verdict, tone] = verdictOf(figures, direction);
  const value = (one) => (typeof one?.value === "number" ? show(one.value) : "–");
  const line = element("li", `lift ${tone}`);
  const name = element("span", "lift-name");
  const values = `${value(figures)} against ${value(control?.metrics[metric])}`;
  name.append(element(decides ? "b" : "span", "", label), element("span", "quiet", decides ? `${values} · decides` : values));
  const text = element("span", "lift-text");
  if (figures.lift !== null) {
    text.append(element("b", "", formatLift(figures.lift)), element("span", "quiet", intervalText(figures)));
  }
  const words = element("span", "lift-verdict", verdict);
  if (arm.breaches.includes(metric)) words.append(element("span", "breach", "guardrail breached"));
  line.append(name, intervalChart({ low: figures.lift_low, middle: figures.lift, high: figures.lift_high, limit }), text, words);
  return line;
}

const intervalText = ({ lift_low: low, lift_high: high }) => `${low === null ? "-∞" : formatLift(low)} to ${high === null ? "∞" : formatLift(high)}`;
