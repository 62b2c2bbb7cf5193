"use strict";
// Without this script the page is a plain table in the order of the worklist.
(() => {
  const root = document.documentElement;
  const table = document.getElementById("worklist");
  if (!table) return;
  root.classList.add("js");
  let body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headers = Array.from(table.tHead.rows[0].cells);
  const text = document.getElementById("filter-text");
  const decision = document.getElementById("filter-decision");
  const code = document.getElementById("filter-code");
  const shown = document.getElementById("shown");
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const found = new Map();

  const keyOf = (row, column, numeric) => {
    const value = row.cells[column].dataset.v ?? "";
    if (!numeric) return value;
    return value === "" ? null : Number(value);
  };

  // What has no value comes last in either direction; equal rows keep the worklist's order.
  const sort = (header, descending) => {
    const column = header.cellIndex;
    const numeric = "numeric" in header.dataset;
    const keys = new Map(rows.map((row) => [row, keyOf(row, column, numeric)]));
    const turn = descending ? -1 : 1;
    const places = new Map(rows.map((row) => [row, Number(row.dataset.place)]));
    const sorted = rows.slice().sort((a, b) => {
      const one = keys.get(a), other = keys.get(b);
      const empty = (one === null || one === "") - (other === null || other === "");
      if (empty) return empty;
      if (one === null || one === "") return places.get(a) - places.get(b);
      const order = numeric ? one - other : words.compare(one, other);
      return order * turn || places.get(a) - places.get(b);
    });
    const anew = body.cloneNode(false);
    anew.append(...sorted);
    body.replaceWith(anew);
    body = anew;
    for (const each of headers) {
      if (each === header) each.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else each.removeAttribute("aria-sort");
    }
  };

  const filter = () => {
    const wanted = text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      let hit = (!decision.value || row.dataset.decision === decision.value) &&
        (!code || !code.value || row.dataset.code === code.value);
      if (hit && wanted.length) {
        if (!found.has(row)) found.set(row, row.textContent.toLowerCase());
        const content = found.get(row);
        hit = wanted.every((word) => content.includes(word));
      }
      if (row.hidden === hit) row.hidden = !hit;
      count += hit;
    }
    shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows shown`;
  };

  for (const header of headers) {
    if (!("sort" in header.dataset)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent.trim();
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      sort(header, now ? now === "ascending" : header.dataset.sort === "descending");
    });
  }

  let waiting = 0;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  decision.addEventListener("change", filter);
  if (code) code.addEventListener("change", filter);
  document.getElementById("filter-clear").addEventListener("click", () => {
    text.value = decision.value = "";
    if (code) code.value = "";
    filter();
    text.focus();
  });

  const all = document.getElementById("all-maps");
  const buttons = Array.from(document.querySelectorAll("button.has-map"));
  if (all) {
    all.addEventListener("click", () => {
      const on = all.getAttribute("aria-pressed") !== "true";
      all.setAttribute("aria-pressed", String(on));
      for (const button of buttons) button.setAttribute("aria-pressed", String(on));
    });
  }
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.has-map");
    if (button) button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  });
  for (const button of buttons) {
    button.disabled = false;
    button.setAttribute("aria-pressed", "false");
  }
  filter();
})();
