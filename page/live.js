"use strict";
(() => {
	const status = document.getElementById("status");
	const pause = document.getElementById("pause");
	const say = (text, kind) => { status.textContent = text; status.className = kind; };
	let source = null;

	// Parts that have not changed stay, so that a selection and an open stack survive.
	const show = (html) => {
		const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("section");
		const old = [...document.querySelectorAll("section")].find((s) => s.dataset.executor === fresh.dataset.executor);
		if (!old) {
			document.querySelector("main").append(fresh);
			document.querySelector(".nothing")?.remove();
			return;
		}
		for (const part of fresh.querySelectorAll("[data-part]")) {
			const was = old.querySelector(`[data-part="${part.dataset.part}"]`);
			for (const open of was.querySelectorAll("details[open]")) {
				const same = [...part.querySelectorAll("details")].find((d) => d.dataset.key === open.dataset.key);
				if (same) same.open = true;
			}
			if (was.outerHTML !== part.outerHTML) was.replaceWith(part);
		}
	};

	const start = () => {
		const query = new URLSearchParams(location.search);
		query.set("format", "events");
		source = new EventSource("?" + query);
		source.onopen = () => say("live", "live");
		source.onerror = () => {
			if (source.readyState === EventSource.CLOSED) { // refused: too many viewers
				say("not live", "lost");
				setTimeout(() => location.reload(), 5000);
			} else {
				say("connecting", "lost");
			}
		};
		source.addEventListener("frame", (e) => show(e.data));
		source.addEventListener("end", (e) => { source.close(); pause.hidden = true; say(e.data, "lost"); });
		pause.textContent = "Pause";
	};

	pause.hidden = false;
	pause.onclick = () => {
		if (source && source.readyState !== EventSource.CLOSED) {
			source.close();
			say("paused", "");
			pause.textContent = "Resume";
		} else {
			start();
		}
	};
	start();
})();
