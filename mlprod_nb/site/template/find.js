const box = document.getElementById("find"), told = document.getElementById("found");
const rows = [...document.querySelectorAll("#all tbody tr")];
document.getElementById("finder").hidden = false;
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of rows) shown += !(row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)));
  told.textContent = box.value.trim() ? `${shown} of ${rows.length} shown` : "";
});
