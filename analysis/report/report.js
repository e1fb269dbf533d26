// Sorts tables by their headings: a button in each, for the mouse and the keyboard; and says of
// which tables there is more at the side. Without the script the page says all the same things.
'use strict';

function sortRows(table, column, descending) {
  const keyOf = (row) => {
    const cell = row.cells[column];
    const numeric = table.tHead.rows[0].cells[column].classList.contains('n');
    if (numeric) return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    return cell.textContent.trim().toLowerCase() || null;
  };
  const compare = (a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
    return descending ? -order : order;
  };
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({row, key: keyOf(row)}));
  rows.sort(compare);
  body.append(...rows.map(({row}) => row));
}

for (const table of document.querySelectorAll('table.sortable')) {
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => {
      // Figures are looked at from the largest, words from the first.
      const first = heading.classList.contains('n') ? 'descending' : 'ascending';
      const second = first === 'ascending' ? 'descending' : 'ascending';
      const order = heading.getAttribute('aria-sort') === first ? second : first;
      for (const other of headings) other.removeAttribute('aria-sort');
      heading.setAttribute('aria-sort', order);
      sortRows(table, column, order === 'descending');
    });
  });
}

const observer = new ResizeObserver((entries) => {
  for (const {target} of entries) {
    const more = target.scrollWidth > target.clientWidth + 1;
    target.previousElementSibling.style.display = more ? 'block' : 'none';
  }
});
for (const box of document.querySelectorAll('.scroll')) observer.observe(box);

// What is folded away would not be printed.
addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details')) details.open = true;
});
