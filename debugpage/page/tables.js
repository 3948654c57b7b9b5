"use strict";
// What somebody chose is in the address, after the #, so that it can be kept and sent to others: sort orders, filters, an open
// timeline and its time. The server does not get it.
const place = (() => {
	const now = () => new URLSearchParams(location.hash.slice(1));
	return {
		get: (key) => now().get(key),
		set: (key, value) => {
			const to = now();
			if (value === null) to.delete(key);
			else to.set(key, value);
			history.replaceState(null, "", String(to) ? "#" + to : location.pathname + location.search);
		},
	};
})();

// Tables that sort by a click on a heading, and filter if they are long. What was chosen stays when the page is
// brought up to date: a fresh table is arranged before it is put in the place of the old one.
const tables = (() => {
	const chosen = new Map(); // by the table's key: {column, down, text}
	const keyOf = (table) => (table.closest("section").dataset.executor + " " + table.dataset.key).trim();
	const of = (table) => {
		const key = keyOf(table);
		if (!chosen.has(key)) {
			const [column, down] = (place.get("sort " + key) ?? "").split(" ");
			chosen.set(key, { column: column ? Number(column) : -1, down: down === "down", text: place.get("find " + key) ?? "" });
		}
		return chosen.get(key);
	};
	const worth = (cell) => cell.dataset.sort ?? cell.textContent.replaceAll(",", "");
	const compare = (a, b) => {
		const x = parseFloat(a), y = parseFloat(b);
		if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return x - y;
		return a < b ? -1 : a > b ? 1 : 0;
	};

	const arrange = (table) => {
		const is = of(table);
		const heads = [...table.tHead.rows[0].cells];
		heads.forEach((head, i) => {
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = head.textContent;
			head.replaceChildren(button);
			head.removeAttribute("aria-sort");
			if (i === is.column) head.setAttribute("aria-sort", is.down ? "descending" : "ascending");
		});
		const body = table.tBodies[0];
		const rows = [...body.rows];
		if (heads[is.column]) {
			rows.sort((a, b) => compare(worth(a.cells[is.column]), worth(b.cells[is.column])) * (is.down ? -1 : 1));
			body.replaceChildren(...rows);
		}
		if ((rows.length > 8 || is.text) && !table.previousElementSibling?.matches(".find")) {
			const label = document.createElement("p");
			label.className = "find";
			const box = document.createElement("input");
			box.type = "search";
			box.placeholder = "find a name";
			box.setAttribute("aria-label", "find a name in " + table.dataset.key);
			box.value = is.text;
			label.append(box);
			table.before(label);
		}
	};

	// filter hides the rows whose name does not have the text.
	const filter = (table) => {
		const text = of(table).text.toLowerCase();
		for (const row of table.tBodies[0].rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
	};
	const all = (root) => root.querySelectorAll("table.sort");

	document.addEventListener("click", (e) => {
		const head = e.target.closest?.("table.sort thead th");
		if (!head) return;
		const table = head.closest("table"), is = of(table);
		const first = head.cellIndex > 0; // numbers: the largest first
		is.down = is.column === head.cellIndex ? !is.down : first;
		is.column = head.cellIndex;
		place.set("sort " + keyOf(table), is.column + (is.down ? " down" : ""));
		arrange(table);
		table.tHead.rows[0].cells[is.column].firstChild.focus();
	});
	document.addEventListener("input", (e) => {
		const table = e.target.closest?.(".find")?.nextElementSibling;
		if (!table) return;
		of(table).text = e.target.value;
		place.set("find " + keyOf(table), e.target.value || null);
		filter(table);
	});
	return {
		arrange: (root) => all(root).forEach(arrange), // before it is put in
		filter: (root) => all(root).forEach(filter), // after
	};
})();
