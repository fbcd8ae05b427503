"use strict";
// Shows, hides and reads off what is in the page already. Without it, all variants are shown, the curve is the first and the samples
// are the last.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const element = (id) => document.getElementById(id);

  // --- variants: a name in the table of verdicts shows and hides its variant everywhere
  const off = new Set();
  for (const row of all("#verdicts [data-row]")) {
    const [head, variant] = [row.querySelector("th"), row.dataset.row];
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.title = "Show or hide this variant";
    button.setAttribute("aria-pressed", "true");
    head.append(button);
    button.addEventListener("click", () => {
      if (!off.delete(variant)) off.add(variant);
      button.setAttribute("aria-pressed", String(!off.has(variant)));
      for (const part of all(`[data-variant="${variant}"]`)) part.classList.toggle("off", off.has(variant));
    });
  }

  // --- controls that need this script
  for (const label of all("label[hidden]")) label.hidden = false;
  element("curve")?.addEventListener("input", (event) => {
    all(".curve").forEach((curve, i) => { curve.hidden = String(i) !== event.target.value; });
  });
  const progress = element("progress");
  progress?.addEventListener("input", () => {
    const step = Number(progress.dataset.steps.split(" ")[progress.value]);
    progress.parentElement.querySelector("output").textContent = `step ${step.toLocaleString("en")}`;
    for (const figure of all("#samples figure")) {
      const grids = [...figure.querySelectorAll("[data-step]")];
      const last = grids.findLast((grid) => Number(grid.dataset.step) <= step);
      for (const grid of grids) grid.hidden = grid !== last;
      figure.querySelector(".absent:last-child").hidden = Boolean(last);
    }
  });

  // --- values under the pointer, or by arrow keys in a chart's box
  const box = document.createElement("div");
  box.className = "reading";
  box.hidden = true;
  box.setAttribute("role", "status");
  document.body.append(box);
  let marked = null;
  function read(rect) {
    marked?.classList.remove("marked");
    marked = rect ?? null;
    box.hidden = !rect;
    if (!rect) return;
    rect.classList.add("marked");
    const [head, ...lines] = rect.dataset.read.split("\n");
    box.replaceChildren(head);
    for (const line of lines) {
      const [variant, words] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)];
      if (off.has(variant)) continue;
      const entry = document.createElement("div");
      entry.className = `t${variant % 8}`;
      entry.textContent = words;
      box.append(entry);
    }
    const at = rect.getBoundingClientRect();
    const left = at.right + 12 + box.offsetWidth > innerWidth ? at.left - 12 - box.offsetWidth : at.right + 12;
    box.style.left = `${Math.max(0, left) + scrollX}px`;
    box.style.top = `${at.top + scrollY}px`;
  }
  for (const chart of all(".chart-box .scroll")) {
    const places = [...chart.querySelectorAll(".read")];
    if (!places.length) continue;
    chart.addEventListener("pointermove", (event) => read(event.target.closest(".read")));
    chart.addEventListener("pointerleave", () => read(null));
    chart.addEventListener("blur", () => read(null));
    chart.addEventListener("keydown", (event) => {
      const now = places.indexOf(marked);
      const next = { ArrowRight: now + 1, ArrowLeft: now < 0 ? places.length - 1 : now - 1, Home: 0, End: places.length - 1 }[event.key];
      if (event.key === "Escape") return read(null);
      if (next === undefined) return;
      event.preventDefault();
      read(places[Math.max(0, Math.min(next, places.length - 1))]);
    });
  }

  // --- print: all is unfolded, and folded again afterwards
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
