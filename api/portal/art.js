// Pictures without pictures: a colour for each category, a glyph for each interest or genre.

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
