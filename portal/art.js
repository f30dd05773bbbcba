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
  for (const letter of String(category)) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

// Show an item's image, or its glyph if there is none or it cannot be loaded.
export function showArt(art, item) {
  const address = pictureOf(item);
  if (art.dataset.picture === (address ?? glyph(item))) return;
  art.dataset.picture = address ?? glyph(item);
  art.textContent = glyph(item);
  if (!address) return;
  const picture = new Image();
  picture.alt = "";
  picture.loading = "lazy";
  picture.onload = () => picture.classList.add("here");
  picture.onerror = () => picture.remove();
  picture.src = address;
  art.append(picture);
}

function pictureOf(item) {
  if (!item.image_url || !URL.canParse(item.image_url, location.href)) return null;
  const address = new URL(item.image_url, location.href);
  return address.protocol === "https:" || address.origin === location.origin ? address.href : null;
}
