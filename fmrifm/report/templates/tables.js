{
  const plain = text => text.trim().replaceAll("−", "-");
  // What a cell stands for: the unrounded number where it has one, nothing where a dash stands for a missing one.
  const value = cell => cell.dataset.value ?? plain(cell.textContent).replace(/^–$/, "");
  const compare = (a, b) => (parseFloat(a) - parseFloat(b)) || a.localeCompare(b, "en", { numeric: true });

  const sort = button => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = row => value(row.cells[head.cellIndex]);
    const known = [...body.rows].filter(row => key(row) !== ""), missing = [...body.rows].filter(row => key(row) === "");
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...known.sort((a, b) => compare(key(a), key(b)) * (down ? -1 : 1)), ...missing);
  };

  const search = (rows, words, count) => {
    for (const row of rows) {
      const text = plain([...row.cells].map(cell => cell.textContent).join("\n")).toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
    const shown = rows.filter(row => !row.hidden).length;
    count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  };

  const download = (table, name) => {
    const line = row => [...row.cells].map(cell => value(cell).replace(/[\t\r\n]+/g, " ")).join("\t");
    const blob = new Blob([...table.rows].map(row => `${line(row)}\n`), { type: "text/tab-separated-values" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button));
    for (const tools of document.querySelectorAll(".tools")) {
      const table = tools.parentNode.querySelector("table"), rows = [...table.tBodies[0].rows];
      const [box, count, button] = ["input", "output", "button"].map(name => tools.querySelector(name));
      const filter = () => search(rows, plain(box.value).toLowerCase().split(/\s+/), count);
      box.addEventListener("input", filter);
      button.addEventListener("click", () => download(table, button.dataset.file));
      filter();
      tools.hidden = false;
    }
  });
}
