// What this browser remembers of whoever looks: nothing of it leaves it.

export function recall(name) {
  try {
    return localStorage.getItem(`livecache-${name}`) ?? "";
  } catch {
    return ""; // A browser that keeps nothing.
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`livecache-${name}`, value);
  } catch {
    // Then it lasts as long as the page.
  }
}
