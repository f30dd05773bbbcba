// Which view an address means, and going to another. Whom it is about stays in the fragment (#user=…).

export function placeAt(path) {
  const [, name, ...rest] = path.split("/");
  const named = decoded(rest.join("/"));
  if (name === "c" && named) return { view: "home", category: named };
  if (name === "item" && named) return { view: "home", item: named };
  return { view: "home" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const categoryPath = (category) => (category ? `/c/${encodeURIComponent(category)}` : "/");
export const itemPath = (itemId) => `/item/${encodeURIComponent(itemId)}`;

// Tell `onPlace` the view of the address, now and whenever it changes; links within the page change it without a load.
export function follow(onPlace) {
  const arrive = () => onPlace(placeAt(location.pathname));
  addEventListener("popstate", arrive);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-view]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname);
  });
  follow.arrive = arrive;
  arrive();
}

export function go(path, { replace = false } = {}) {
  const address = path + location.hash;
  if (address !== location.pathname + location.hash) history[replace ? "replaceState" : "pushState"](null, "", address);
  follow.arrive?.();
}
