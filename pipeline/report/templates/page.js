"use strict";

// Draws each chart. Colours are CSS variables, so light, dark and print need no redrawing.
for (const place of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  const tooltip = { disableDefaultStyle: true };
  const { side, columns } = place.parentElement.dataset;
  // A mark that is an image shows it: one tile of the sheet of all.
  tooltip.formatTooltip = ({ tile, ...fields }, sanitize) => {
    const [at, across] = [Number(tile), Number(columns)];
    const where = `--row: ${Math.floor(at / across)}; --column: ${at % across}; --across: ${across}`;
    const picture = side ? `<div class="tile${side < 32 ? " coarse" : ""}" style="${where}"></div>` : "";
    const rows = Object.entries(fields).map(([name, value]) =>
      `<tr><td class="key">${sanitize(name)}</td><td class="value">${sanitize(value)}</td></tr>`);
    return `${picture}<table>${rows.join("")}</table>`;
  };
  const options = { actions: false, renderer: "svg", defaultStyle: false, tooltip };
  vegaEmbed(place, spec, options)
    .catch((error) => console.error(error));
}

// Sorting: a header's button sorts the rows by that column, a second press turns the order around.
const key = (row, column) => {
  const cell = row.cells[column];
  return "sort" in cell.dataset ? cell.dataset.sort : cell.textContent.trim();
};

const compare = (one, other) => {
  if (one === "" || other === "") return 0;
  const numbers = [Number(one), Number(other)];
  return numbers.some(Number.isNaN) ? one.localeCompare(other) : numbers[0] - numbers[1];
};

const sort = (header) => {
  const table = header.closest("table");
  const current = header.getAttribute("aria-sort");
  const order = current
    ? (current === "ascending" ? "descending" : "ascending")
    : header.dataset.first;
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [key(row, header.cellIndex), row]);
  // A cell without a figure comes last either way.
  rows.sort(([one], [other]) => (one === "") - (other === "") || sign * compare(one, other));
  body.append(...rows.map(([, row]) => row));
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
};

for (const header of document.querySelectorAll(".sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  button.addEventListener("click", () => sort(header));
  header.append(button);
}

// Filtering: a row stays where every word that is typed is in its head's or backbone's name.
for (const filter of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.getElementById(filter.dataset.filter).tBodies[0].rows];
  const [typed, chosen] = [filter.querySelector("input"), filter.querySelector("select")];
  const status = filter.querySelector("[role=status]");
  const apply = () => {
    const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const named = row.dataset.words.toLowerCase();
      const other = chosen?.value && chosen.value !== row.dataset.backbone;
      row.hidden = other || !words.every((word) => named.includes(word));
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} runs`;
  };
  filter.addEventListener("input", apply);
  filter.hidden = false;
  apply();
}
