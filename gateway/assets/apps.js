// Boxes for many apps: a search that finds as one types, boxes that tick a whole category, and a count that is read out.
// Without this script the form searches and counts on the server.
"use strict";
(() => {
  const form = document.querySelector("[data-ticks]");
  if (!form) return;
  const said = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const ticked = (boxes) => boxes.filter((box) => box.checked).length;
  const q = form.querySelector("#q"), found = form.querySelector("#found"), count = form.querySelector("#ticked");
  const boxes = [...form.querySelectorAll("[name=app]")];
  const shelves = [...form.querySelectorAll(".shelf")].map((part) => ({
    part, all: part.querySelector("[data-all]"), count: part.querySelector("[data-count]"),
    boxes: [...part.querySelectorAll("[name=app]")], wasOpen: part.open && !q.value.trim(),
  }));
  const groups = [{ all: form.querySelector("#all"), boxes }, ...shelves];
  let announcing = 0;

  function counted() {
    for (const group of groups) {
      const n = ticked(group.boxes);
      group.all.checked = n === group.boxes.length;
      group.all.indeterminate = n > 0 && n < group.boxes.length;
      if (group.count) group.count.textContent = `${n} / ${group.boxes.length}`;
    }
    count.textContent = said(count.dataset.ticked, { n: ticked(boxes), all: boxes.length });
  }

  function searched() {
    const words = q.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const shelf of shelves) {
      let here = 0;
      for (const box of shelf.boxes) {
        const tick = box.parentElement;
        tick.hidden = !words.every((word) => tick.dataset.foundBy.includes(word));
        here += tick.hidden ? 0 : 1;
      }
      if (words.length && !shelf.searched) shelf.wasOpen = shelf.part.open;
      shelf.part.open = words.length ? true : shelf.wasOpen;
      shelf.searched = words.length > 0;
      shelf.part.hidden = here === 0;
      shelf.all.parentElement.hidden = words.length > 0;
      n += here;
    }
    clearTimeout(announcing);
    announcing = setTimeout(() => {
      found.textContent = words.length ? (n ? said(found.dataset.found, { n }) : found.dataset.none) : "";
    }, 300);
  }

  for (const group of groups) {
    group.all.removeAttribute("name"); // it ticks the others; only they are sent
    group.all.addEventListener("change", () => {
      for (const box of group.boxes) box.checked = group.all.checked;
    });
  }
  form.addEventListener("change", counted);
  q.addEventListener("input", searched);
  q.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault(); // it is found already
    if (event.key === "Escape" && q.value) { event.preventDefault(); q.value = ""; searched(); }
  });
  addEventListener("pageshow", counted);
  for (const shelf of shelves) shelf.searched = q.value.trim() !== "";
  counted();
})();
