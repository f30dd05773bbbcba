// Figures as text.

export function formatDuration(seconds) {
  if (seconds === Infinity) return "over a week";
  if (seconds < 1) return `${Math.round(1_000 * seconds)} ms`;
  return seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

export function formatDollars(value) {
  return value.toLocaleString("en", { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 4 });
}

export const formatShare = (share) => share.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 });

// Return a share with as many digits as rare outcomes need.
export const formatRate = (share) => share.toLocaleString("en", { style: "percent", maximumSignificantDigits: 3 });

// Return a relative difference, with its sign.
export const formatLift = (lift) => lift.toLocaleString("en", { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" });
