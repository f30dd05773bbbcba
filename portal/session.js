// Who is signed in: a token, kept for as long as the tab is open.

let token = sessionStorage.getItem("token") ?? "";

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});
export const signedIn = () => Boolean(token);

export function signIn(given) {
  token = given.trim().replace(/^Bearer /i, "");
  if (token) sessionStorage.setItem("token", token);
  else sessionStorage.removeItem("token");
}

export const signOut = () => signIn("");

// Return whom the token says it is of; the server is who verifies it.
export function subject() {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (letter) => letter.codePointAt(0)))).sub ?? null;
  } catch {
    return null;
  }
}
