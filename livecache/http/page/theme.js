// Light or dark as the person chose on this page; else as the system is.

"use strict";

(() => {
  const KEY = "livecache-theme";

  function chosen() {
    try {
      return localStorage.getItem(KEY) ?? "";
    } catch {
      return ""; // A browser that keeps nothing.
    }
  }

  function choose(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Then it lasts as long as the page.
    }
  }

  document.documentElement.dataset.theme = chosen();
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = chosen();
    select.addEventListener("change", () => choose(select.value));
  });
})();
