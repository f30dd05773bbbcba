// URL routing between views. The user stays in the fragment (#user=…).

const VIEWS = ["find", "you", "operations"];
let behind = "/"; // the URL of the view behind an item

export function placeAt({ pathname, search = "" }) {
  const [, name, ...rest] = pathname.split("/");
  const named = decoded(rest.join("/"));
  if (name === "item" && named) return { ...placeAt(new URL(behind, location.origin)), item: named };
  if (name === "c" && named) return { view: "home", category: named };
  if (VIEWS.includes(name)) return { view: name, query: new URLSearchParams(search).get("q") ?? "" };
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
export const searchPath = (words) => `/find?q=${encodeURIComponent(words)}`;
export const itemPath = (itemId) => `/item/${encodeURIComponent(itemId)}`;

// Call `onPlace` with the view of the URL, now and whenever it changes; links within the page do not reload it.
export function follow(onPlace) {
  const arrive = () => {
    const place = placeAt(location);
    if (!place.item) behind = location.pathname + location.search;
    onPlace(place);
  };
  addEventListener("popstate", arrive);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-view]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  follow.arrive = arrive;
  arrive();
}

export function go(path) {
  if (path !== location.pathname + location.search) history.pushState(null, "", path + location.hash);
  follow.arrive?.();
}

// Close an item and return to the view behind it.
export const goBehind = () => go(behind);
