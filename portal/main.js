// The page: its user, its view, and its colour scheme.

import { readFakes, readUsers } from "./client.js";
import * as find from "./find.js";
import * as home from "./home.js";
import { watch } from "./notices.js";
import * as operations from "./operations.js";
import { Picker } from "./picker.js";
import { follow } from "./router.js";
import { subject } from "./session.js";
import * as you from "./you.js";

const $ = (id) => document.getElementById(id);
const VIEWS = { home, find, you, operations };
let route = null;

const picker = new Picker($("user"), $("visitor"), (userId) => {
  home.start(userId);
  watch(userId);
  if (route && route.view !== "home") VIEWS[route.view].visit(route, userId);
});

async function begin() {
  const users = await readUsers().catch(() => []);
  picker.setUsers(Array.isArray(users) ? users : [], subject());
  follow(open);
  addEventListener("session", ({ detail }) => picker.pick(detail ?? picker.current));
  const simulated = await readFakes().catch(() => []);
  if (!Array.isArray(simulated) || !simulated.length) return;
  $("simulated").textContent = `Simulated here: ${simulated.join(" and ")}. Their suggestions are generated, and no push notification leaves this machine.`;
  $("simulated").hidden = false;
}

function open(next) {
  const isOtherView = route?.view !== next.view;
  route = next;
  for (const name of Object.keys(VIEWS)) $(`view-${name}`).hidden = name !== route.view;
  for (const link of document.querySelectorAll(".views a")) {
    if (link.dataset.view === route.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  home.visit(route);
  if (route.view !== "home") VIEWS[route.view].visit(route, picker.current);
  if (isOtherView) scrollTo({ top: 0, behavior: "instant" });
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "☀" : "☾";
}
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light"));
dark.addEventListener("change", () => localStorage.getItem("theme") ?? theme(dark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", name);
  theme(name);
});

begin();
