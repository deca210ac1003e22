// The case desk without a mouse: keys move between the rows of the table. Whoever types in a field is left alone, and
// so is every key with Ctrl, Alt or Meta. Without this script Tab does the same.
"use strict";
(() => {
  const table = document.querySelector("table.cases");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const keys = document.getElementById("keys");
  const find = document.getElementById("find");
  const said = document.getElementById("ticked");
  const link = (row) => row?.querySelector("th a");
  const here = () => rows.findIndex((row) => row.contains(document.activeElement));
  const go = (step) => {
    const at = here();
    link(rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)])?.focus();
  };
  const does = {
    j: () => go(1), ArrowDown: () => go(1), k: () => go(-1), ArrowUp: () => go(-1),
    o: () => link(rows[here()])?.click(),
    x: () => rows[here()]?.querySelector("input[type=checkbox]")?.click(),
    "/": () => { find.open = true; document.getElementById("reference").focus(); },
    "?": () => { keys.open = !keys.open; keys.querySelector("summary").focus(); },
  };
  const arrows = ["ArrowDown", "ArrowUp"];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !does[event.key]) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (arrows.includes(event.key) && here() < 0) return; // the page scrolls
    event.preventDefault();
    does[event.key]();
  });
  if (keys) keys.hidden = false;
  if (table?.dataset.ticked && said) {
    const tell = () => {
      const count = table.querySelectorAll("input[type=checkbox]:checked").length;
      said.textContent = count ? table.dataset.ticked.replace("#", count) : "";
    };
    table.addEventListener("change", tell);
    tell();
  }
})();
