// A form for stored values: it is disabled until they are read, and sends only changed values.

import { ApiError } from "./client.js";
import { toast } from "./toast.js";

const NOT_FOUND = 404;
const CHANGED = 412;

// `read` returns { values, tag } of a user, with values by control name; `defaults` returns the same for a user without
// stored values. `write` sends the changed values of a user with a tag, and returns the new tag.
export function settingsForm(form, { read, defaults, write, savedText }) {
  const fields = form.querySelector(".all");
  const problem = form.querySelector(".problem");
  let owner = null;
  let loaded = null;

  const control = (name) => form.elements[name];
  const value = (name) => (control(name).type === "checkbox" ? control(name).checked : control(name).value);
  const changedNames = () => Object.keys(loaded.values).filter((name) => value(name) !== loaded.values[name]);
  const show = (values) => {
    for (const [name, stored] of Object.entries(values)) {
      if (control(name).type === "checkbox") control(name).checked = stored;
      else control(name).value = stored;
    }
    form.dispatchEvent(new CustomEvent("loaded"));
  };

  // Read the stored values and show them, except in edited controls.
  async function load(userId, { edited = [] } = {}) {
    owner = userId;
    loaded = null;
    fields.disabled = true;
    problem.hidden = true;
    try {
      const stored = await read(userId).catch((error) => {
        if (error.status !== NOT_FOUND) throw error;
        return defaults();
      });
      if (owner !== userId) return;
      loaded = stored;
      show(Object.fromEntries(Object.entries(stored.values).filter(([name]) => !edited.includes(name))));
      fields.disabled = false;
    } catch (error) {
      if (owner !== userId) return;
      const reason = error instanceof ApiError ? error.message : "The response is invalid.";
      problem.querySelector("span").textContent = `This could not be read, so it cannot be changed. ${reason}`;
      problem.hidden = false;
    }
  }

  async function save() {
    const [userId, before, names] = [owner, loaded, changedNames()];
    if (!names.length) {
      toast("Nothing has changed.");
      return;
    }
    const values = Object.fromEntries(Object.keys(before.values).map((name) => [name, value(name)]));
    fields.disabled = true;
    try {
      const tag = await write(userId, { values, names }, before.tag);
      if (loaded === before) loaded = { values, tag };
      toast(savedText);
    } catch (error) {
      if (error.status === CHANGED && owner === userId) {
        await load(userId, { edited: names });
        toast("Not saved: the values were changed elsewhere meanwhile. Review them, and save again.", true);
        return;
      }
      toast(`Not saved: ${error.message}`, true);
    } finally {
      if (loaded) fields.disabled = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (loaded) save();
  });
  problem.querySelector("button").addEventListener("click", () => load(owner));
  return { load };
}
