// What is known of a person and what they say of themselves; what may be pushed to them, and when; who is signed in.

import { element } from "./card.js";
import { bar } from "./chart.js";
import { readNotifications, readProfile, readPush, writeProfile, writePush } from "./client.js";
import { signedIn, signIn, signOut, subject } from "./session.js";
import { toast } from "./toast.js";

const $ = (id) => document.getElementById(id);
const MOST_SHOWN = 8;
const LISTS = ["categories", "topics", "muted"];
const DECIDED = {
  sent: "Sent", quiet_hours: "Held until the quiet hours end", retrying: "Being sent again", capped: "Enough for today",
  not_worth_it: "Not worth a message", unwanted: "Of a kind that is not wanted", repeated: "Said before",
  unregistered: "No device", expired: "Too late", failed: "Failed", not_configured: "Pushing is not set up", withdrawn: "Withdrawn",
};
let user = null;
let stated = {};
let threshold = null;

export async function visit(_, userId) {
  user = userId;
  document.title = `${userId} · Millrace`;
  $("you-heading").textContent = userId;
  showSession();
  const nothing = (error) => {
    if (error.status !== 404) toast(error.message, true);
    return null;
  };
  const [profile, push, told] = await Promise.all([
    readProfile(userId).catch(nothing),
    readPush(userId).catch(nothing),
    readNotifications(userId).catch(nothing),
  ]);
  if (user !== userId) return;
  showProfile(profile);
  showPush(push?.preferences);
  showTold(told?.notifications ?? []);
}

function showProfile(profile) {
  stated = profile?.stated ?? {};
  const form = $("profile");
  for (const name of LISTS) form.elements[name].value = (stated[name] ?? []).join(", ");
  form.elements.city.value = stated.city ?? "";
  form.elements.timezone.value = stated.timezone ?? "";
  stated.segment = profile?.segment ?? "";
  const found = Object.entries({ ...profile?.preferences?.topics, ...profile?.preferences?.categories });
  found.sort(([, left], [, right]) => right - left);
  $("found").replaceChildren(...found.slice(0, MOST_SHOWN).map(([name, share]) => bar(name, share, share.toFixed(2), "var(--part-0)")));
  $("found-note").textContent = profile ? `Learned from ${profile.total_interactions} interactions` : "Nothing is known yet";
}

function showPush(preferences) {
  const { quiet_hours: quiet, categories } = preferences ?? {};
  threshold = preferences?.value_threshold ?? null;
  const fields = $("push").elements;
  fields.quiet.checked = Boolean(quiet);
  fields.start.value = quiet?.start ?? "22:00";
  fields.end.value = quiet?.end ?? "08:00";
  fields.zone.value = quiet?.timezone ?? (stated.timezone || Intl.DateTimeFormat().resolvedOptions().timeZone);
  fields.kinds.value = (categories ?? []).join(", ");
  $("quiet-fields").disabled = !quiet;
}

function showTold(notifications) {
  const lines = notifications.slice(0, MOST_SHOWN).map((one) => {
    const line = element("li");
    line.append(element("b", "", one.title || one.item_id || "A message"), element("span", "quiet", DECIDED[one.status] ?? one.status));
    return line;
  });
  $("told").replaceChildren(...(lines.length ? lines : [element("li", "quiet", "Nothing so far.")]));
}

function showSession() {
  $("sign-out").hidden = !signedIn();
  $("signed").textContent = signedIn() ? `Signed in${subject() ? ` as ${subject()}` : ""}.` : "Nobody is signed in. In development that is fine: pick anyone above.";
}

const listed = (text) => text.split(",").map((word) => word.trim()).filter(Boolean);

async function save(form, write, done) {
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    await write();
    toast(done);
  } catch (error) {
    toast(`Not saved: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
}

$("profile").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = event.target.elements;
  const lists = Object.fromEntries(LISTS.map((name) => [name, listed(fields[name].value)]));
  const said = { ...stated, ...lists, city: fields.city.value.trim() || null, timezone: fields.timezone.value.trim() || null };
  save(event.target, () => writeProfile(user, said), "Saved. The feed follows.");
});

$("push").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = event.target.elements;
  const kinds = listed(fields.kinds.value);
  const quiet = { start: fields.start.value, end: fields.end.value, timezone: fields.zone.value.trim() };
  const preferences = { categories: kinds.length ? kinds : null, quiet_hours: fields.quiet.checked ? quiet : null, value_threshold: threshold };
  save(event.target, () => writePush(user, preferences), "Saved.");
});

$("push").elements.quiet.addEventListener("change", (event) => ($("quiet-fields").disabled = !event.target.checked));

$("session").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(event.target.elements.token.value);
  event.target.reset();
  renewed();
});

$("sign-out").addEventListener("click", () => {
  signOut();
  renewed();
});

// Everything that is shown may be another's now.
function renewed() {
  dispatchEvent(new CustomEvent("session", { detail: subject() }));
}
