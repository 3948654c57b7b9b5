"use strict";
(() => {
	const status = document.getElementById("status");
	const pause = document.getElementById("pause");
	const retryAfter = 5000; // between two loads of a page that is not kept up to date
	const silence = 16000; // three heartbeats: whatever says it is open is not
	let source = null, watchdog = 0, retry = 0;
	let asOf = status.textContent.replace("as of ", "");

	const say = (text, kind) => {
		status.textContent = (text ? text + ", " : "") + "as of " + asOf;
		status.className = kind;
	};

	// What has changed changes in place, so that a selection, an open stack and how far it is scrolled survive.
	const key = (node) => node.dataset?.key ?? node.dataset?.part;
	const alike = (a, b) => a.nodeName === b.nodeName && key(a) === key(b);
	const patch = (was, now) => {
		if (now.nodeType !== Node.ELEMENT_NODE) {
			if (was.nodeValue !== now.nodeValue) was.nodeValue = now.nodeValue;
			return;
		}
		if (was.dataset.own !== undefined) return; // a script fills it
		for (const { name } of [...was.attributes]) {
			if (!now.hasAttribute(name) && name !== "open" && name !== "hidden") was.removeAttribute(name);
		}
		for (const { name, value } of now.attributes) {
			if (was.getAttribute(name) !== value && name !== "hidden") was.setAttribute(name, value);
		}
		let at = was.firstChild;
		for (const child of [...now.childNodes]) {
			let same = at;
			while (same && !alike(same, child)) same = same.nextSibling;
			if (!same) {
				was.insertBefore(child, at);
				continue;
			}
			if (same !== at && key(child) === undefined) {
				while (at !== same) { // only what has a key changes its place
					const gone = at;
					at = at.nextSibling;
					gone.remove();
				}
			}
			if (same === at) at = at.nextSibling;
			else was.insertBefore(same, at);
			patch(same, child);
		}
		while (at) {
			const gone = at;
			at = at.nextSibling;
			gone.remove();
		}
	};

	const sections = () => [...document.querySelectorAll("section")];
	const of = (name) => sections().find((s) => s.dataset.executor === name);
	const put = (fresh) => {
		const old = of(fresh.dataset.executor);
		tables.arrange(fresh);
		if (old) patch(old, fresh);
		else document.querySelector("main").append(fresh);
		document.querySelector(".nothing")?.remove();
		tables.filter(document);
	};
	const parse = (html) => new DOMParser().parseFromString(html, "text/html");
	const clock = () => { asOf = new Date().toTimeString().slice(0, 8); };

	// load gets the whole page, where no stream keeps it up to date.
	const load = async () => {
		try {
			const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
			if (!answer.ok) throw answer.status;
			const fresh = parse(await answer.text());
			clock();
			const all = [...fresh.querySelectorAll("section")];
			for (const old of sections()) if (!all.some((s) => s.dataset.executor === old.dataset.executor)) old.remove();
			all.forEach(put);
			say("loaded every 5 s", "");
		} catch {
			say("not reachable", "lost");
		}
		retry = setTimeout(load, retryAfter);
	};
	const fallBack = () => {
		source.close();
		clearTimeout(watchdog);
		say("not live", "lost");
		retry = setTimeout(load, retryAfter);
	};
	const alive = () => {
		clearTimeout(watchdog);
		watchdog = setTimeout(fallBack, silence);
	};

	const stop = () => {
		source?.close();
		source = null;
		clearTimeout(watchdog);
		clearTimeout(retry);
		retry = 0;
	};
	const start = () => {
		stop();
		const query = new URLSearchParams(location.search);
		query.set("format", "events");
		source = new EventSource("?" + query);
		alive();
		source.onerror = () => {
			if (source.readyState === EventSource.CLOSED) fallBack(); // refused
			else say("connecting", "lost"); // the watchdog goes on
		};
		source.addEventListener("beat", alive);
		source.addEventListener("frame", (e) => {
			alive();
			clock();
			put(parse(e.data).querySelector("section"));
			say("live", "live");
		});
		source.addEventListener("gone", (e) => of(e.data)?.remove());
		source.addEventListener("full", fallBack);
		source.addEventListener("reload", () => location.reload());
		source.addEventListener("end", (e) => { stop(); pause.hidden = true; say(e.data, "lost"); });
		pause.textContent = "Pause";
	};

	pause.hidden = false;
	pause.onclick = () => {
		if (source) {
			stop();
			say("paused", "");
			pause.textContent = "Resume";
		} else {
			start();
		}
	};
	tables.arrange(document);
	timeline.watch(() => source !== null || retry !== 0);
	start();
})();
