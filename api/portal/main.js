// The page: whom it is of, which view of it is open, and by which light.

import { readSimulated, readUsers } from "./client.js";
import * as home from "./home.js";
import { Picker } from "./picker.js";
import { follow } from "./place.js";

const $ = (id) => document.getElementById(id);

async function begin() {
  const picker = new Picker($("user"), $("visitor"), home.start);
  const users = await readUsers().catch(() => []);
  picker.offer(Array.isArray(users) ? users : []);
  follow(home.visit);
  const simulated = await readSimulated().catch(() => []);
  if (!Array.isArray(simulated) || !simulated.length) return;
  $("simulated").textContent = `Simulated here: ${simulated.join(" and ")}. What they suggest is made up, and no push leaves this machine.`;
  $("simulated").hidden = false;
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
