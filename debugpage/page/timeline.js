"use strict";
// The timeline: what the slots did over the last minute. It is asked for once a second while it is open, and drawn on a
// canvas; below it the same in words, for the chosen slot, and as a table. Keys, touch, buttons and the wheel do the same.
const timeline = (() => {
	const second = 1e9, whole = 60 * second;
	const of = new WeakMap(); // by the details element
	const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const time = (t, ns) => new Date(Date.parse(t.data.from) + ns / 1e6).toTimeString().slice(0, 8);
	const long = (ns) => ns >= second ? (ns / second).toFixed(ns < 10 * second ? 1 : 0) + " s" : ns >= 1e6 ? Math.round(ns / 1e6) + " ms" : Math.max(1, Math.round(ns / 1e3)) + " µs";
	const short = (task) => /^[^\s/]+\.[^\s/]+\/\S+\.[^\s/]+$/.test(task) ? task.slice(task.lastIndexOf("/") + 1) : task; // a function, without the path of its package
	// paint is what a task is drawn with: its colour, and one for text on it.
	const paint = (task) => {
		let hash = 2166136261; // FNV-1a
		for (const c of task) hash = Math.imul(hash ^ c.codePointAt(0), 16777619) >>> 0;
		const light = (matchMedia("(prefers-color-scheme: dark)").matches ? 58 : 52) + ((hash >>> 4) % 3 - 1) * 9; // hues alone are too near
		return { back: `hsl(${(hash >>> 8) % 360} 48% ${light}%)`, text: light > 50 ? "#111" : "#fff" };
	};
	const color = (task) => paint(task).back;
	const tell = (t, s) => {
		if (!s) return "idle";
		let text = `${s.task || "a task without a name"}, ${s.many ? "short tasks, " : ""}${s.state} for ${long(s.end - s.start)} from ${time(t, s.start)}`;
		if (s.exact) text += `, waited ${long(s.start - s.submitted)}` + (s.by >= 0 ? `, submitted by slot ${s.by}` : "") + (s.failed ? ", failed" : "");
		return text + (s.lent ? ", lent slot" : "");
	};
	const end = (t) => Date.parse(t.data.to) * 1e6 - Date.parse(t.data.from) * 1e6;
	const mine = (t) => t.data.spans.filter((s) => s.slot === t.data.slots[t.row] && s.end >= t.left && s.start <= t.left + t.width);

	const draw = (t) => {
		const data = t.data, canvas = t.canvas;
		if (!data) return;
		if (t.all) t.width = Math.min(whole, Math.max(10 * second, end(t))); // all there is, until somebody chooses
		if (t.follow) t.left = end(t) - t.width;
		const row = data.slots.length > 24 ? 12 : 22, top = 18;
		const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = top + row * Math.max(1, data.slots.length);
		if (canvas.width !== width * scale || canvas.height !== height * scale) {
			canvas.width = width * scale;
			canvas.height = height * scale;
		}
		canvas.style.height = height + "px";
		const g = canvas.getContext("2d"), label = 34;
		g.setTransform(scale, 0, 0, scale, 0, 0);
		g.clearRect(0, 0, width, height);
		const x = (ns) => label + (ns - t.left) / t.width * (width - label);
		const rows = new Map(data.slots.map((slot, i) => [slot, top + i * row]));
		g.font = "10px system-ui, sans-serif";
		g.textBaseline = "middle";
		const ink = css("--ink"), soft = css("--soft"), line = css("--line");
		const marks = width < 560 ? 3 : 6;
		for (let i = 0; i <= marks; i++) {
			const at = t.left + t.width * i / marks, ago = end(t) - at;
			g.fillStyle = line;
			g.fillRect(x(at), top, 1, height - top);
			g.fillStyle = soft;
			g.textAlign = i === marks ? "right" : "left";
			g.fillText(ago < 1e3 ? "now" : (t.width < 30 * second && ago > second ? (ago / second).toFixed(1) + " s" : long(ago)) + " ago", x(at), 8);
		}
		g.textAlign = "left";
		for (const [slot, y] of rows) {
			g.fillStyle = data.slots[t.row] === slot ? css("--wash") : "transparent";
			g.fillRect(0, y, width, row);
			g.fillStyle = data.slots[t.row] === slot ? ink : soft;
			g.fillText(slot, 2, y + row / 2);
		}
		g.save();
		g.beginPath();
		g.rect(label, 0, width - label, height);
		g.clip();
		const arrows = [];
		for (const s of data.spans) {
			if (s.end < t.left || s.start > t.left + t.width) continue;
			const y = rows.get(s.slot), from = x(s.start), wide = Math.max(1, x(s.end) - from);
			if (s.exact) {
				g.strokeStyle = s.failed ? css("--bad") : ink;
				g.lineWidth = s.failed ? 2 : 0.6;
				g.strokeRect(from + 0.5, y + 3.5, Math.max(0.5, wide - 1), row - 7);
				if (s.by >= 0 && rows.has(s.by)) arrows.push(s);
				continue;
			}
			const idle = s.state !== "running"; // its slot may be lent: half as high, with the colour of the state
			g.fillStyle = idle ? css("--" + s.state) : color(s.task);
			g.fillRect(from, y + (idle ? row / 2 : 1.5), wide, idle ? row / 2 - 1.5 : row - 3);
			if (s.lent) {
				g.fillStyle = css("--bad");
				g.fillRect(from, y + row - 2, wide, 1.5);
			}
			if (wide > 40 && row > 14) {
				g.save();
				g.beginPath();
				g.rect(from, y, wide - 3, row);
				g.clip();
				g.fillStyle = idle ? ink : paint(s.task).text;
				g.fillText((idle ? s.state + " " : "") + short(s.task), from + 4, y + row / 2);
				g.restore();
			}
		}
		g.strokeStyle = ink;
		g.fillStyle = ink;
		g.lineWidth = 0.8;
		for (const s of arrows.slice(-300)) {
			const a = x(s.submitted), b = rows.get(s.by) + row / 2, c = x(s.start), d = rows.get(s.slot) + row / 2;
			g.beginPath();
			g.moveTo(a, b);
			g.lineTo(c, d);
			g.stroke();
			g.beginPath();
			g.arc(c, d, 2, 0, 7);
			g.fill();
		}
		if (t.chosen) {
			g.strokeStyle = ink;
			g.lineWidth = 2;
			g.strokeRect(x(t.chosen.start), rows.get(t.chosen.slot) + 1, Math.max(2, x(t.chosen.end) - x(t.chosen.start)), row - 2);
		}
		g.restore();
	};

	// words is the same for those who do not see it.
	const words = (t) => {
		const { data } = t, sum = new Map();
		for (const s of data.spans) if (!s.exact) sum.set(s.task || "no name", (sum.get(s.task || "no name") ?? 0) + s.end - s.start);
		const top = [...sum].sort((a, b) => b[1] - a[1]).slice(0, 8);
		t.canvas.setAttribute("aria-label", `${data.slots.length} slots over ${long(end(t))}; most of the time: ` + top.slice(0, 3).map(([task, ns]) => `${task} ${long(ns)}`).join(", "));
		t.legend.replaceChildren(...top.map(([task, ns]) => {
			const item = document.createElement("li"), mark = document.createElementNS(document.querySelector("svg").namespaceURI, "svg");
			mark.setAttribute("viewBox", "0 0 1 1");
			const box = document.createElementNS(mark.namespaceURI, "rect");
			for (const [k, v] of [["width", 1], ["height", 1], ["fill", color(task === "no name" ? "" : task)]]) box.setAttribute(k, v);
			mark.append(box);
			item.append(mark, `${task} ${long(ns)}`);
			return item;
		}));
		t.note.textContent = data.note;
		const rows = data.spans.filter((s) => s.end >= t.left && s.start <= t.left + t.width).sort((a, b) => (b.end - b.start) - (a.end - a.start)).slice(0, 20);
		t.body.replaceChildren(...rows.map((s) => {
			const tr = document.createElement("tr");
			for (const text of [s.slot, s.task, s.state, time(t, s.start), long(s.end - s.start), s.exact ? (s.by >= 0 ? "slot " + s.by : "outside") : ""]) {
				const td = document.createElement("td");
				td.textContent = text;
				tr.append(td);
			}
			return tr;
		}));
	};
	const say = (t) => { t.say.textContent = `slot ${t.data.slots[t.row]}: ` + tell(t, t.chosen ?? mine(t).at(-1)); };
	const show = (t) => { if (t.data?.slots.length) { draw(t); words(t); } };

	const zoom = (t, factor, at = 0.5) => {
		const width = Math.min(whole, Math.max(1e6, t.width * factor));
		if (width === whole) t.follow = true;
		t.left += (t.width - width) * (t.follow ? 1 : at); // what is now stays at the right
		t.width = width;
	};
	const pan = (t, share) => {
		t.follow = false;
		t.left += t.width * share;
		if (t.left + t.width >= end(t)) t.follow = true;
	};
	const step = (t, by) => { // to the span before or after
		const all = mine(t), at = all.findIndex((s) => s.start === t.chosen?.start && s.end === t.chosen?.end);
		t.chosen = all[Math.max(0, Math.min(all.length - 1, at < 0 ? all.length - 1 : at + by))];
		t.follow = false;
	};
	const act = (t, what) => {
		if (!t.data?.slots.length) return false;
		t.all = what === "Home" || t.all && ["ArrowUp", "ArrowDown"].includes(what);
		switch (what) {
			case "ArrowLeft": pan(t, -0.1); break;
			case "ArrowRight": pan(t, 0.1); break;
			case "ArrowUp": t.row = Math.max(0, t.row - 1); t.chosen = null; break;
			case "ArrowDown": t.row = Math.min(t.data.slots.length - 1, t.row + 1); t.chosen = null; break;
			case "+": case "=": zoom(t, 0.5); break;
			case "-": zoom(t, 2); break;
			case "PageUp": case "[": step(t, -1); break;
			case "PageDown": case "]": step(t, 1); break;
			case "Home": t.width = whole; t.follow = true; t.chosen = null; break;
			default: return false;
		}
		show(t);
		say(t);
		keep(t);
		return true;
	};

	const load = async (t) => {
		if (!t.box.isConnected || !t.box.open) return;
		if (!document.hidden && t.running()) {
			try {
				const answer = await fetch(t.url + "timeline", { cache: "no-store" });
				const data = (await answer.json()).timelines[0];
				if (data) {
					if (t.data && !t.follow) t.left -= (Date.parse(data.from) - Date.parse(t.data.from)) * 1e6;
					if (t.chosen && t.data) {
						const by = (Date.parse(data.from) - Date.parse(t.data.from)) * 1e6;
						t.chosen = { ...t.chosen, start: t.chosen.start - by, end: t.chosen.end - by };
					}
					t.data = data;
					goTo(t);
					t.row = Math.min(t.row, data.slots.length - 1);
					show(t);
				}
			} catch { /* the page says that it is lost */ }
		}
		t.timer = setTimeout(load, 1000, t);
	};

	// keep puts into the address what is looked at: the times of both ends in ms, or nothing but that the timeline is open.
	const keep = (t) => {
		const begin = t.data && Date.parse(t.data.from), at = (ns) => Math.round(begin + ns / 1e6);
		place.set("timeline " + t.name, !t.box.open ? null : t.follow || !t.data ? "now" : at(t.left) + "-" + at(t.left + t.width));
	};
	// goTo goes to what the address says. It may be over.
	const goTo = (t) => {
		const [from, to] = (t.want ?? "").split("-").map((ms) => (Number(ms) - Date.parse(t.data.from)) * 1e6);
		t.want = null;
		if (!(to > from)) return;
		if (end(t) - to > whole) {
			t.say.textContent = "What the address points to is more than a minute ago, and forgotten.";
			return;
		}
		t.all = false;
		t.left = from;
		t.width = Math.min(whole, to - from);
		t.follow = false;
	};

	// perfetto hands the trace to ui.perfetto.dev, in this browser: nothing is sent to a server.
	const perfetto = async (t) => {
		const target = "https://ui.perfetto.dev", tab = open(target);
		const trace = await (await fetch(t.url + "perfetto", { cache: "no-store" })).arrayBuffer();
		const ping = setInterval(() => tab.postMessage("PING", target), 200);
		addEventListener("message", function pong(e) {
			if (e.source !== tab || e.data !== "PONG") return;
			clearInterval(ping);
			removeEventListener("message", pong);
			tab.postMessage({ perfetto: { buffer: trace, title: t.name, keepApiOpen: false } }, target);
		});
	};

	const begin = (box, running) => {
		const find = (name) => box.querySelector("." + name);
		const name = box.closest("section").dataset.executor;
		const t = { box, name, running, url: "?executor=" + encodeURIComponent(name) + "&format=", canvas: find("lines"), legend: find("tasks"), note: find("note"), say: find("say"), body: find("spans").tBodies[0], row: 0, left: 0, width: whole, follow: true, all: true, chosen: null, data: null, want: null };
		of.set(box, t);
		t.canvas.addEventListener("keydown", (e) => { if (act(t, e.key)) e.preventDefault(); });
		box.addEventListener("click", (e) => {
			const what = e.target.dataset?.act;
			if (what === "perfetto") perfetto(t);
			else if (what) act(t, what);
		});
		t.canvas.addEventListener("wheel", (e) => {
			if (!e.ctrlKey && !e.shiftKey) return; // the page scrolls
			e.preventDefault();
			t.all = false;
			if (e.ctrlKey) zoom(t, e.deltaY > 0 ? 1.25 : 0.8, e.offsetX / t.canvas.clientWidth);
			else pan(t, (e.deltaY || e.deltaX) / 1000);
			show(t);
			keep(t);
		}, { passive: false });
		let drag = null;
		t.canvas.addEventListener("pointerdown", (e) => { drag = { x: e.clientX, moved: false }; t.canvas.setPointerCapture(e.pointerId); });
		t.canvas.addEventListener("pointermove", (e) => {
			if (!drag || !t.data) return;
			if (Math.abs(e.clientX - drag.x) > 3) drag.moved = true;
			t.all = false;
			pan(t, (drag.x - e.clientX) / t.canvas.clientWidth);
			drag.x = e.clientX;
			draw(t);
		});
		t.canvas.addEventListener("pointerup", (e) => {
			if (drag && !drag.moved && t.data?.slots.length) {
				const row = t.data.slots.length > 24 ? 12 : 22, at = t.left + (e.offsetX - 34) / (t.canvas.clientWidth - 34) * t.width;
				t.row = Math.max(0, Math.min(t.data.slots.length - 1, Math.floor((e.offsetY - 18) / row)));
				t.chosen = mine(t).find((s) => s.start <= at && at <= s.end) ?? null;
				show(t);
				say(t);
			}
			if (drag) keep(t);
			drag = null;
		});
		addEventListener("resize", () => draw(t));
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(t));
		return t;
	};
	return {
		// watch begins with what is open.
		watch(running) {
			document.addEventListener("toggle", (e) => {
				const box = e.target;
				if (!box.matches?.("details.timeline")) return;
				const t = of.get(box) ?? begin(box, running);
				clearTimeout(t.timer);
				if (box.open) load(t);
				if (!t.want) keep(t);
			}, true);
			for (const box of document.querySelectorAll("details.timeline")) {
				const want = place.get("timeline " + box.closest("section").dataset.executor);
				if (want === null) continue;
				const t = of.get(box) ?? begin(box, running);
				t.want = want;
				box.open = true; // and its event loads it
			}
		},
	};
})();
