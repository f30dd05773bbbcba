// URL routing between views. The user stays in the fragment (#user=…).

const VIEWS = ["find", "you", "operations"];
let backgroundPath = "/"; // the path of the view behind an open item

export function routeOf({ pathname, search = "" }) {
  const [, name, ...rest] = pathname.split("/");
  const argument = decoded(rest.join("/"));
  if (name === "item" && argument) return { ...routeOf(new URL(backgroundPath, location.origin)), item: argument };
  if (name === "c" && argument) return { view: "home", category: argument };
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

// Call `onRoute` with the view of the URL, now and whenever it changes; links within the page do not reload it.
export function follow(onRoute) {
  const onChange = () => {
    const route = routeOf(location);
    if (!route.item) backgroundPath = location.pathname + location.search;
    onRoute(route);
  };
  addEventListener("popstate", onChange);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-view]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  follow.onChange = onChange;
  onChange();
}

export function go(path) {
  if (path !== location.pathname + location.search) history.pushState(null, "", path + location.hash);
  follow.onChange?.();
}

// Close an item and return to the view behind it.
export const closeItem = () => go(backgroundPath);
