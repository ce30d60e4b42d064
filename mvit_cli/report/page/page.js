"use strict";
/* Sorting, filtering, opening. Without it the table stays whole, in the order of the input, and lines open all the same. */
document.addEventListener("DOMContentLoaded", () => {
  const one = (selector) => document.querySelector(selector);
  const ground = one(".ground");
  ground.hidden = false;
  ground.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.classList.contains("dark")
      || (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.classList.toggle("dark", !dark);
    root.classList.toggle("light", dark);
  });

  const table = one("table.files");
  if (!table) return;
  const files = [...table.tBodies];
  const titles = [...table.tHead.rows[0].cells];
  const collator = new Intl.Collator(undefined, { numeric: true });

  /* Opening: a click anywhere in a line; Escape closes, arrows go from line to line. */
  const detailsOf = (file) => file.rows[0].querySelector("details");
  table.classList.add("scripted");
  /* What is not seen at once stands in the page as text, so that thousands of lines load fast. */
  const fill = (place) => place.querySelectorAll("noscript").forEach((text) => {
    const parts = document.createElement("template");
    parts.innerHTML = text.textContent;
    text.replaceWith(parts.content);
  });
  table.addEventListener("toggle", (event) => fill(event.target.closest("tbody")), true);
  const near = new IntersectionObserver((seen) => seen.filter((entry) => entry.isIntersecting).forEach((entry) => {
    near.unobserve(entry.target);
    fill(entry.target);
  }), { rootMargin: "600px" });
  table.querySelectorAll(".thumbnail").forEach((thumbnail) => near.observe(thumbnail));
  addEventListener("beforeprint", () => table.querySelectorAll(".thumbnail").forEach(fill));
  table.addEventListener("click", (event) => {
    const line = event.target.closest(".line");
    if (!line || event.target.closest("summary") || String(getSelection())) return;
    const details = detailsOf(line.parentElement);
    details.open = !details.open;
  });
  table.addEventListener("keydown", (event) => {
    const file = event.target.closest("table.files > tbody");
    if (!file || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape" && detailsOf(file).open) {
      detailsOf(file).open = false;
      detailsOf(file).firstElementChild.focus();
    }
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step || event.target.localName !== "summary") return;
    let next = file[step];
    while (next && (next.hidden || next.localName !== "tbody")) next = next[step];
    if (next) {
      event.preventDefault();
      detailsOf(next).firstElementChild.focus();
    }
  });
  if (files.length < 2) return;

  /* Sorting: by a click on a title, or by the list where there is no room for titles. */
  let sorted = { column: 0, up: true };
  const keyOf = (file, column) => {
    const cell = file.rows[0].cells[column];
    const data = cell.querySelector("data");
    return data ? Number(data.value) : cell.textContent.trim();
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b));
  const sortBy = (column, up) => {
    sorted = { column, up };
    const sign = up ? 1 : -1;
    const keyed = files.map((file, place) => [keyOf(file, column), file, place]);
    /* What has no value comes last, whichever way. */
    keyed.sort(([a, , i], [b, , j]) => (a === "") - (b === "") || sign * compare(a, b) || i - j);
    table.append(...keyed.map(([, file]) => file));
    titles.forEach((title) => title.removeAttribute("aria-sort"));
    titles[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    one(".by").value = String(column);
  };
  titles.forEach((title, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title.textContent;
    button.addEventListener("click", () => sortBy(column, sorted.column !== column || !sorted.up));
    title.replaceChildren(button);
  });
  one(".by").addEventListener("change", (event) => sortBy(Number(event.target.value), true));
  one(".turn").addEventListener("click", () => sortBy(sorted.column, !sorted.up));

  /* Filtering. */
  const find = one(".find"), ofClass = one(".of-class"), ofState = one(".of-state");
  const known = files.map((file) => ({
    file,
    state: file.dataset.state,
    classes: file.dataset.found?.split("\n") ?? [file.querySelector(".label")?.textContent].filter(Boolean),
  }));
  const names = [...new Set(known.flatMap(({ classes }) => classes))].sort(collator.compare);
  ofClass.append(...names.map((name) => new Option(name, name)));
  const textOf = ({ file, classes }) => [
    ...[...file.querySelectorAll(".path, .notice")].map((e) => e.textContent), ...classes,
  ].join("\n").toLowerCase();
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of known) {
      if (words.length) entry.text ??= textOf(entry);
      const fits = (!ofState.value || entry.state === ofState.value)
        && (!ofClass.value || entry.classes.includes(ofClass.value))
        && words.every((word) => entry.text.includes(word));
      entry.file.hidden = !fits;
      shown += fits;
    }
    one(".shown").textContent = `${shown.toLocaleString("en")} of ${files.length.toLocaleString("en")} shown`;
  };
  let waiting;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 100);
  });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { find.value = ""; filter(); }
  });
  ofClass.addEventListener("change", filter);
  ofState.addEventListener("change", filter);
  document.querySelectorAll(".classes tbody .name").forEach((name) => {
    if (!names.includes(name.textContent)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name.textContent;
    button.addEventListener("click", () => {
      ofClass.value = ofClass.value === button.textContent ? "" : button.textContent;
      filter();
      one("#results").scrollIntoView();
    });
    name.replaceChildren(button);
  });
  one(".controls").hidden = false;
  filter();
});
