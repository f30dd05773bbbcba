// The user picker: a user of the demo, a user named in the URL (#user=…), or a new visitor.

export class Picker {
  constructor(select, visitor, onPick) {
    this.select = select;
    this.onPick = onPick;
    select.addEventListener("change", () => this.pick(select.value));
    visitor.addEventListener("click", () => this.pick(`visitor-${Math.floor(Math.random() * 36 ** 5).toString(36)}`));
    addEventListener("hashchange", () => {
      const userId = this.userInUrl();
      if (userId && userId !== this.current) this.pick(userId);
    });
  }

  userInUrl() {
    return new URLSearchParams(location.hash.slice(1)).get("user");
  }

  setUsers(users, signedIn) {
    this.select.replaceChildren(...users.map((user) => option(user.user_id, user.label)));
    this.select.disabled = false;
    this.pick(this.userInUrl() ?? signedIn ?? users[0]?.user_id ?? "visitor-1");
  }

  pick(userId) {
    if (![...this.select.options].some(({ value }) => value === userId)) {
      this.select.prepend(option(userId, userId.startsWith("visitor-") ? "no events yet" : ""));
    }
    this.current = userId;
    this.select.value = userId;
    const fragment = `#${new URLSearchParams({ user: userId })}`;
    if (location.hash !== fragment) history.replaceState(null, "", fragment);
    this.onPick(userId);
  }
}

function option(userId, label) {
  const node = document.createElement("option");
  node.value = userId;
  node.textContent = label ? `${userId} — ${label}` : userId;
  return node;
}
