// A reader of /metrics, in the Prometheus text format.

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Metrics {
  constructor(text) {
    this.samples = text.split("\n").flatMap((line) => {
      const [, name, labels = "", value] = LINE.exec(line) ?? [];
      return name ? [{ name, value: Number(value), labels: Object.fromEntries([...labels.matchAll(LABEL)].map((match) => match.slice(1))) }] : [];
    });
  }

  find(name, accepts = () => true) {
    return this.samples.filter((sample) => sample.name === name && accepts(sample.labels));
  }

  // Return the sum of a metric over its labels; null if it is missing.
  sum(name, accepts) {
    const samples = this.find(name, accepts);
    return samples.length ? samples.reduce((sum, sample) => sum + sample.value, 0) : null;
  }

  // Return the bucket bound of a quantile of a histogram; null if the histogram is empty.
  quantile(name, share) {
    const count = this.sum(`${name}_count`);
    if (!count) return null;
    const bounds = this.find(`${name}_bucket`).sort((left, right) => bound(left) - bound(right));
    return bound(bounds.find((bucket) => bucket.value >= share * count));
  }
}

const bound = (sample) => (sample.labels.le === "+Inf" ? Infinity : Number(sample.labels.le));
