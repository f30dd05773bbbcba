// Toast messages, and messages for screen readers only.

const SHOWN_MS = 3_500;
const $ = (id) => document.getElementById(id);
let timer = 0;

export function toast(text, bad = false) {
  clearTimeout(timer);
  $("toast").textContent = text;
  $("toast").classList.toggle("bad", bad);
  $("toast").classList.add("shown");
  timer = setTimeout(() => $("toast").classList.remove("shown"), SHOWN_MS);
}

export function announce(text) {
  $("announce").textContent = text;
}
