"use strict";
/* Sorting by a click on a title. Without it the table stays in the order of the input. */
document.addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector("table.files");
  const titles = [...table.tHead.rows[0].cells];
  const collator = new Intl.Collator(undefined, { numeric: true });

  const keyOf = (file, column) => {
    const cell = file.rows[0].cells[column];
    const data = cell.querySelector("data");
    return data ? Number(data.value) : cell.textContent.trim();
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b));

  const sortBy = (column) => {
    const title = titles[column];
    const wasUp = title.getAttribute("aria-sort") === "ascending";
    const sign = wasUp ? -1 : 1;
    const files = [...table.tBodies].map((file) => [keyOf(file, column), file]);
    /* What has no value comes last, whichever way. */
    files.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));
    table.append(...files.map(([, file]) => file));
    titles.forEach((other) => other.removeAttribute("aria-sort"));
    title.setAttribute("aria-sort", wasUp ? "descending" : "ascending");
  };

  if (table.tBodies.length < 2) return;
  titles.forEach((title, column) => {
    if (title.textContent === "frames") return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title.textContent;
    button.addEventListener("click", () => sortBy(column));
    title.replaceChildren(button);
  });
});
