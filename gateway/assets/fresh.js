// A page with data-events is told when what it shows has changed; it then fetches itself and puts in what is marked
// data-fresh (by id), unless somebody is typing there. Without this script the page is as it was opened.
"use strict";
(() => {
  const watched = document.querySelector("[data-events]");
  if (!watched || !window.EventSource) return;
  let fetching = false, again = false;
  const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
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
        const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
        part.replaceChildren(...found.childNodes);
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      }
    } finally {
      fetching = false;
      if (again) { again = false; refresh(); }
    }
  }
  const events = new EventSource(watched.dataset.events);
  events.addEventListener("changed", refresh);
  addEventListener("pagehide", () => events.close());
})();
