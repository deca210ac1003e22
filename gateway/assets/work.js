// One tick for all rows of a list. Without this script each row is ticked by itself.
"use strict";
(() => {
  const place = document.querySelector("[data-all]");
  if (!place) return;
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", place.dataset.all);
  const rows = () => place.closest("table").querySelectorAll('tbody input[type="checkbox"]');
  all.addEventListener("change", () => { for (const row of rows()) row.checked = all.checked; });
  place.prepend(all);
})();
