// The session: a token, stored while the tab is open.

let token = sessionStorage.getItem("token") ?? "";

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});
export const signedIn = () => Boolean(token);

export function signIn(text) {
  token = text.trim().replace(/^Bearer /i, "");
  if (token) sessionStorage.setItem("token", token);
  else sessionStorage.removeItem("token");
}

export const signOut = () => signIn("");

// Return the subject of the token, unverified; the server verifies it.
export function subject() {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (character) => character.codePointAt(0)))).sub ?? null;
  } catch {
    return null;
  }
}
