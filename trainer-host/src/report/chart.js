"use strict";
// Draws the curves that the reader asks for. Without it, the page keeps the static plot that Rust drew (plot.rs, axis.rs,
// curve.rs), whose margins, ticks and smoothing these are.
(() => {
  const element = (id) => document.getElementById(id);
  const plot = element("plot");
  if (!plot) return;
  const { variants, families } = JSON.parse(element("data").textContent);
  const [frame, readout, legend] = [element("frame"), element("readout"), element("legend")];
  const margin = { left: 60, right: 14, top: 34, bottom: 42 };
  const shown = variants.map(() => true);
  let view = null; // what is drawn: scales and lines
  let marked = null; // the step under the crosshair

  // --- numbers

  function readable(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
  }

  function grouped(value) {
    return value < 1e4 ? String(value) : String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  }

  function label(tick, step, largest) {
    if (largest >= 1e7 || step < 1e-5) return tick === 0 ? "0" : tick.toExponential(2);
    let decimals = 0;
    while (decimals < 8 && Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6 * step * 10 ** decimals) decimals++;
    const [whole, fraction] = tick.toFixed(decimals).split(".");
    const sign = whole.startsWith("-") ? "-" : "";
    return sign + grouped(Number(whole.replace("-", ""))) + (fraction ? "." + fraction : "");
  }

  // --- scales

  function niceStep(span, target) {
    const raw = span / target;
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= raw * (1 - 1e-9)) ?? 10);
  }

  function spread(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low > high) return [0, 1];
    [low, high] = [Math.max(low, -1e300), Math.min(high, 1e300)];
    const largest = Math.max(Math.abs(low), Math.abs(high));
    if (largest < 1e-290) return [-0.5, 0.5];
    if (high - low <= largest * 1e-9) return [low - largest * 0.05, high + largest * 0.05];
    return [low, high];
  }

  function ticksBetween(low, high, step) {
    const first = Math.ceil(low / step - 1e-6);
    const count = Math.min(Math.max(Math.floor(high / step + 1e-6) - first, 0), 32);
    const largest = Math.max(Math.abs(low), Math.abs(high));
    return Array.from({ length: count + 1 }, (_, i) => {
      const at = (first + i) * step + 0;
      return { at, text: label(at, step, largest) };
    });
  }

  function linear(values, target, covering) {
    let [low, high] = spread(values);
    const step = niceStep(high - low, target);
    if (covering) [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
    return { ticks: ticksBetween(low, high, step), fraction: (value) => (value - low) / (high - low) };
  }

  function logarithmic(values) {
    const [low, high] = spread(values.map(Math.log10));
    const fraction = (value) => (Math.log10(value) - low) / (high - low);
    // Over less than an octave or so, a linear axis has the rounder ticks.
    if (high - low < 0.5) return { ticks: ticksBetween(10 ** low, 10 ** high, niceStep(10 ** high - 10 ** low, 5)), fraction };
    const factors = high - low < 2.5 ? [1, 2, 5] : [1];
    const stride = Math.ceil((high - low) / 10);
    const ticks = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power += stride) {
      for (const factor of factors) {
        const at = factor * 10 ** power;
        if (fraction(at) >= -1e-9 && fraction(at) <= 1 + 1e-9) ticks.push({ at, text: readable(at) });
      }
    }
    return { ticks, fraction };
  }

  // --- curves

  function smooth(steps, values, constant) {
    let [sum, weight, before] = [0, 0, null];
    return values.map((value, i) => {
      if (value === null || constant <= 0) return value;
      const keep = before === null ? 0 : Math.exp(-(steps[i] - before) / constant);
      before = steps[i];
      sum = sum * keep + value;
      weight = weight * keep + 1;
      return sum / weight;
    });
  }

  function nearest(steps, step) {
    let [low, high] = [0, steps.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1;
      else high = middle;
    }
    return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
  }

  // --- drawing

  function svg(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function drawLine(line, values, css, place) {
    let path = "";
    let run = [];
    const flush = () => {
      if (run.length === 1) plot.append(svg("circle", { class: `dot ${css}`, cx: run[0][0], cy: run[0][1], r: 3.5 }));
      else if (run.length) path += "M" + run.map((point) => point.join(" ")).join("L");
      run = [];
    };
    values.forEach((value, i) => {
      if (value === null || line.steps[i] < view.from) flush();
      else run.push(place(line.steps[i], value));
    });
    flush();
    if (path) plot.append(svg("path", { class: css, d: path }));
  }

  function draw() {
    const family = families[element("family").value];
    const log = element("logarithmic").checked;
    const drawable = (value) => value !== null && (!log || value > 0);
    const all = family.curves.flatMap((curve) => curve.steps);
    const [first, last] = all.length ? spread(all) : [0, 1];
    const from = first + (last - first) * Number(element("range").value);
    const constant = ((last - first) * Number(element("smoothing").value)) / 100;
    element("constant").textContent = constant > 0 ? `${grouped(Math.max(1, Math.round(constant)))} steps` : "off";

    const lines = family.curves.map((curve, i) => {
      const raw = curve.values.map((value) => (drawable(value) ? value : null));
      return { variant: variants[i], on: shown[i], steps: curve.steps, raw, values: smooth(curve.steps, raw, constant) };
    });
    const visible = lines.filter((line) => line.on).flatMap((line) => line.raw.filter((value, i) => value !== null && line.steps[i] >= from));
    const width = Math.max(frame.clientWidth, 280);
    const height = Math.round(Math.min(460, Math.max(280, width * 0.44)));
    const area = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    const x = linear([from, last], Math.max(4, Math.round(area.width / 130)), false);
    const y = log ? logarithmic(visible) : linear(visible, 6, true);
    const placeX = (step) => Math.round((margin.left + x.fraction(step) * area.width) * 10) / 10;
    const placeY = (value) => Math.round((margin.top + (1 - Math.min(1, Math.max(0, y.fraction(value)))) * area.height) * 10) / 10;
    view = { from, last, lines, placeX, placeY, width, height, area, smoothed: constant > 0 };

    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("aria-label", `${family.label} by step, one line a variant. Arrow keys read values.`);
    plot.replaceChildren();
    const ground = margin.top + area.height;
    const right = margin.left + area.width;
    for (const tick of y.ticks) {
      const at = placeY(tick.at);
      plot.append(svg("path", { class: "grid", d: `M${margin.left} ${at}H${right}` }));
      plot.append(svg("text", { class: "tick", x: margin.left - 8, y: at + 4, "text-anchor": "end" }, tick.text));
    }
    plot.append(svg("path", { class: "ground", d: `M${margin.left} ${ground}H${right}` }));
    for (const tick of x.ticks) {
      const at = placeX(tick.at);
      plot.append(svg("path", { class: "ground", d: `M${at} ${ground}v5` }));
      plot.append(svg("text", { class: "tick", x: at, y: ground + 19, "text-anchor": "middle" }, tick.text));
    }
    plot.append(svg("text", { class: "axis", x: right, y: ground + 36, "text-anchor": "end" }, "step"));
    plot.append(svg("text", { class: "axis", x: 0, y: 14 }, family.label + (log ? ", log scale" : "")));
    const on = lines.filter((line) => line.on);
    const place = (step, value) => [placeX(step), placeY(value)];
    if (view.smoothed) for (const line of on) drawLine(line, line.raw, `raw ${line.variant.line}`, place);
    for (const line of on) drawLine(line, line.values, `line ${line.variant.line}`, place);
    if (!visible.length) {
      plot.append(svg("text", { class: "axis", x: margin.left + area.width / 2, y: margin.top + area.height / 2, "text-anchor": "middle" }, "nothing to draw"));
    }
    plot.append(svg("g", { id: "cross" }));

    element("hint").textContent = family.hint;
    const remarks = [...family.remarks];
    const lost = log ? family.curves.flatMap((curve) => curve.values).filter((value) => value !== null && value <= 0).length : 0;
    if (lost) remarks.push(`${grouped(lost)} values of zero or less have no place on a log scale: gaps in the lines.`);
    element("remarks").replaceChildren(
      ...remarks.map((remark) => {
        const item = document.createElement("li");
        item.textContent = remark;
        return item;
      }),
    );
    [...legend.querySelectorAll("button")].forEach((button, i) => button.classList.toggle("empty", !family.curves[i].steps.length));
    mark(marked);
  }

  // --- reading values

  function mark(step) {
    const cross = element("cross");
    cross.replaceChildren();
    const read = [];
    for (const line of view.lines) {
      if (!line.on || !line.steps.length || step === null) continue;
      const i = nearest(line.steps, step);
      if (line.steps[i] >= view.from) read.push({ line, i, step: line.steps[i] });
    }
    readout.hidden = !read.length;
    marked = read.length ? step : null;
    if (!read.length) return;
    // The crosshair stands on a logged step, the one nearest to the pointer.
    const at = read.reduce((best, one) => (Math.abs(one.step - step) < Math.abs(best.step - step) ? one : best)).step;
    const x = view.placeX(at);
    cross.append(svg("path", { class: "cross", d: `M${x} ${margin.top}V${margin.top + view.area.height}` }));

    const table = document.createElement("table");
    table.createCaption().textContent = `step ${grouped(at)}`;
    for (const { line, i, step: own } of read) {
      const [raw, value] = [line.raw[i], line.values[i]];
      if (value !== null) cross.append(svg("circle", { class: `dot line ${line.variant.line}`, cx: view.placeX(own), cy: view.placeY(value), r: 3.5 }));
      const row = table.insertRow();
      const name = row.insertCell();
      const swatch = svg("svg", { class: "swatch", width: 30, height: 10, "aria-hidden": "true" });
      swatch.append(svg("path", { class: `line ${line.variant.line}`, d: "M1 5H29" }));
      name.append(swatch, line.variant.name + (own === at ? "" : ` (step ${grouped(own)})`));
      row.insertCell().textContent = value === null ? "no value" : readable(value);
      const unsmoothed = row.insertCell();
      unsmoothed.className = "unsmoothed";
      if (view.smoothed && raw !== null) unsmoothed.textContent = `raw ${readable(raw)}`;
    }
    readout.replaceChildren(table);
    const scale = plot.clientWidth / view.width;
    const toLeft = x > margin.left + view.area.width / 2;
    readout.style.left = toLeft ? "auto" : `${x * scale + 12}px`;
    readout.style.right = toLeft ? `${frame.clientWidth - x * scale + 12}px` : "auto";
  }

  function point(event) {
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * view.width;
    const fraction = Math.min(1, Math.max(0, (x - margin.left) / view.area.width));
    mark(view.from + fraction * (view.last - view.from));
  }

  function walk(event) {
    const steps = [...new Set(view.lines.filter((line) => line.on).flatMap((line) => line.steps))].filter((step) => step >= view.from).sort((a, b) => a - b);
    if (!steps.length) return;
    const here = marked === null ? -1 : nearest(steps, marked);
    const stride = event.shiftKey ? 10 : 1;
    const to = { ArrowRight: here + stride, ArrowLeft: here < 0 ? steps.length - 1 : here - stride, Home: 0, End: steps.length - 1 }[event.key];
    if (event.key === "Escape") mark(null);
    if (to === undefined) return;
    event.preventDefault();
    mark(steps[Math.min(steps.length - 1, Math.max(0, to))]);
  }

  // --- wiring

  frame.classList.add("live");
  plot.setAttribute("tabindex", "0");
  readout.setAttribute("aria-live", "polite");
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", () => mark(null));
  plot.addEventListener("keydown", walk);
  plot.addEventListener("blur", () => mark(null));
  legend.querySelectorAll("button").forEach((button, i) => {
    button.disabled = false;
    button.title = "Show or hide this variant";
    button.addEventListener("click", () => {
      shown[i] = !shown[i];
      button.setAttribute("aria-pressed", String(shown[i]));
      draw();
    });
  });
  const controls = element("controls");
  controls.hidden = false;
  controls.addEventListener("input", draw);
  controls.addEventListener("submit", (event) => event.preventDefault());
  // In the next frame: drawing changes the frame's height, which an observer may not do while it is told of sizes.
  const resized = () => {
    if (frame.clientWidth && frame.clientWidth !== view?.width) draw();
  };
  new ResizeObserver(() => requestAnimationFrame(resized)).observe(frame);
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  draw();
})();
