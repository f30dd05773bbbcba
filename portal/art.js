// Item images, and placeholders for items without one: a colour per category, a glyph per interest or genre.

const HUES = { places: 155, music: 265, movies: 15, workshops: 38 };

const GLYPHS = {
  jazz: "🎷", electronic: "🎛️", folk: "🪕", cooking: "🍳", coffee: "☕", hiking: "🥾", gardening: "🌿",
  architecture: "🏛️", photography: "📷", pottery: "🏺", books: "📚", science: "🔭", dance: "💃", sea: "🌊",
  places: "📍", music: "🎵", movies: "🎬", workshops: "🛠️",
  action: "💥", adventure: "🗺️", animation: "🎨", children: "🧸", childrens: "🧸", comedy: "😄", crime: "🕵️",
  documentary: "🎥", drama: "🎭", fantasy: "🐉", "film-noir": "🌃", horror: "👻", imax: "🎞️", musical: "🎶",
  mystery: "🔍", romance: "💞", "sci-fi": "🚀", thriller: "⏱️", war: "🎖️", western: "🤠",
};

export function glyph(item) {
  const name = [...(item.topics ?? []), item.category].find((key) => Object.hasOwn(GLYPHS, key));
  return name ? GLYPHS[name] : "✦";
}

export function hue(category) {
  if (Object.hasOwn(HUES, category)) return HUES[category];
  let sum = 0;
  for (const character of String(category)) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

// Show an item's image, or its glyph if there is none or it cannot be loaded.
export function showArt(art, item) {
  const url = imageUrlOf(item);
  if (art.dataset.image === (url ?? glyph(item))) return;
  art.dataset.image = url ?? glyph(item);
  art.textContent = glyph(item);
  if (!url) return;
  const image = new Image();
  image.alt = "";
  image.loading = "lazy";
  image.onload = () => image.classList.add("loaded");
  image.onerror = () => image.remove();
  image.src = url;
  art.append(image);
}

function imageUrlOf(item) {
  if (!item.image_url || !URL.canParse(item.image_url, location.href)) return null;
  const url = new URL(item.image_url, location.href);
  return url.protocol === "https:" || url.origin === location.origin ? url.href : null;
}
