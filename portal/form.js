// A form for stored values: it is disabled until they are read, and sends only changed values.

import { ApiError } from "./client.js";
import { toast } from "./toast.js";

const NOT_FOUND = 404;
const CHANGED = 412;

// `read` returns { values, tag } of a user, with values by control name; without stored values it returns
// `read.nothing`. `write` sends the changed values of a user with a tag, and returns the new tag.
export function storedForm(form, { read, nothing, write, done }) {
  const all = form.querySelector(".all");
  const problem = form.querySelector(".problem");
  let owner = null;
  let loaded = null;

  const control = (name) => form.elements[name];
  const value = (name) => (control(name).type === "checkbox" ? control(name).checked : control(name).value);
  const changed = () => Object.keys(loaded.values).filter((name) => value(name) !== loaded.values[name]);
  const show = (values) => {
    for (const [name, shown] of Object.entries(values)) {
      if (control(name).type === "checkbox") control(name).checked = shown;
      else control(name).value = shown;
    }
    form.dispatchEvent(new CustomEvent("shown"));
  };

  // Read the stored values and show them, except in edited controls.
  async function load(userId, { edited = [] } = {}) {
    owner = userId;
    loaded = null;
    all.disabled = true;
    problem.hidden = true;
    try {
      const found = await read(userId).catch((error) => {
        if (error.status !== NOT_FOUND) throw error;
        return nothing();
      });
      if (owner !== userId) return;
      loaded = found;
      show(Object.fromEntries(Object.entries(found.values).filter(([name]) => !edited.includes(name))));
      all.disabled = false;
    } catch (error) {
      if (owner !== userId) return;
      const why = error instanceof ApiError ? error.message : "The answer makes no sense.";
      problem.querySelector("span").textContent = `This could not be read, so it cannot be changed. ${why}`;
      problem.hidden = false;
    }
  }

  async function save() {
    const [userId, before, names] = [owner, loaded, changed()];
    if (!names.length) {
      toast("Nothing has changed.");
      return;
    }
    const values = Object.fromEntries(Object.keys(before.values).map((name) => [name, value(name)]));
    all.disabled = true;
    try {
      const tag = await write(userId, { values, names }, before.tag);
      if (loaded === before) loaded = { values, tag };
      toast(done);
    } catch (error) {
      if (error.status === CHANGED && owner === userId) {
        await load(userId, { edited: names });
        toast("Not saved: it was changed elsewhere meanwhile. Look at it, and save again.", true);
        return;
      }
      toast(`Not saved: ${error.message}`, true);
    } finally {
      if (loaded) all.disabled = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (loaded) save();
  });
  problem.querySelector("button").addEventListener("click", () => load(owner));
  return { load };
}
