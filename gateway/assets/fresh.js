// A page with data-events is told when what it shows has changed; it then fetches itself and puts in what is marked
// data-fresh (by id), unless somebody is typing there. Without this script the page is as it was opened.
"use strict";
(() => {
  const watched = document.querySelector("[data-events]");
  if (!watched || !window.EventSource) return;
  let fetching = false, again = false;
  const typed = (one) => one.matches("select") ? [...one.options].some((o) => o.selected !== o.defaultSelected && o.index)
    : one.matches("[type=checkbox], [type=radio]") ? one.checked !== one.defaultChecked : one.value !== one.defaultValue;
  const busy = (part) => (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"))
    || [...part.querySelectorAll("input, select, textarea")].some(typed);
  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (!answer.ok) { events.close(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-fresh]")) {
        const found = page.getElementById(part.id);
        if (!found || busy(part) || found.innerHTML === part.innerHTML) continue;
        const folded = [...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
        part.replaceChildren(...found.childNodes);
        for (const [id, open] of folded) document.getElementById(id)?.toggleAttribute("open", open);
      }
    } finally {
      fetching = false;
      if (again) { again = false; refresh(); }
    }
  }
  const events = new EventSource(watched.dataset.events);
  events.addEventListener("changed", refresh);
  events.addEventListener("open", refresh); // what changed after the page was drawn, before the line stood
  addEventListener("pagehide", () => events.close());
})();
