const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/i;
const read = (row, column) => row.cells[column].textContent.trim().replace(/,/g, "").replace(/^\u2212/, "-");
for (const table of document.querySelectorAll("main table")) {
  const head = table.tHead && table.tHead.rows.length === 1 && table.tHead.rows[0], body = table.tBodies[0];
  if (!head || !body || body.rows.length < 3) continue;
  if ([...body.rows].some((row) => row.cells.length !== head.cells.length)) continue;
  [...head.cells].forEach((cell, column) => {
    if (!cell.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const way = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => ({ row, text: read(row, column) }));
      const empty = ({ text }) => text === "" || text === "–";
      const numeric = rows.every((one) => empty(one) || number.test(one.text));
      const compare = numeric
        ? (a, b) => parseFloat(a.text) - parseFloat(b.text)
        : (a, b) => a.text.localeCompare(b.text, "en", { numeric: true });
      rows.sort((a, b) => empty(a) - empty(b) || (empty(a) ? 0 : way * compare(a, b)));
      body.append(...rows.map(({ row }) => row));
    });
  });
}
