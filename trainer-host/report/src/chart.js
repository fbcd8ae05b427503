"use strict";
// Draws the curves that the reader asks for. Without it, the page keeps the static plot that Rust drew (plot.rs, axis.rs,
// curve.rs), whose margins, ticks and smoothing these are.
(() => {
  const element = (id) => document.getElementById(id);
  const plot = element("plot");
  if (!plot) return;
  const { variants, families } = JSON.parse(element("data").textContent);
  const [frame, readout, controls] = [element("frame"), element("readout"), element("controls")];
  const margin = { left: 60, right: 14, top: 34, bottom: 42 };
  let shown = variants.map(() => true);
  let view = null; // what is drawn: scales and lines
  let marked = null; // the place under the crosshair

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

  // What the width can mean. A step of a variant is so many of it; without a number of its own, a variant has no line.
  const axes = {
    steps: { label: "step", units: [["", 1]] },
    images: { label: "images", units: [["", 1]] },
    operations: { label: "floating-point operations", units: [["PFLOP", 1e15], ["TFLOP", 1e12], ["GFLOP", 1e9], ["MFLOP", 1e6], ["", 1]] },
    seconds: { label: "time of training", units: [["h", 3600], ["min", 60], ["s", 1]] },
  };

  function places(variant, steps, axis, earlier) {
    if (axis === "steps") return steps;
    const pace = variant.pace[axis];
    return pace && steps.map((step) => step * pace.step + (earlier ? pace.earlier : 0));
  }

  function unitOf(axis, largest) {
    const { units } = axes[axis];
    return units.find(([, size]) => largest >= 1.5 * size) ?? units[units.length - 1];
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

  function mean(runs) {
    return runs.length === 0 ? [] : runs[0].map((value, i) => (value === null ? null : runs.reduce((sum, run) => sum + run[i], 0) / runs.length));
  }

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

  // The stretches of places between gaps.
  function stretches(line, values) {
    const found = [];
    let run = [];
    values.forEach((value, i) => {
      if (value !== null && line.xs[i] >= view.from) return run.push(i);
      if (run.length) found.push(run);
      run = [];
    });
    if (run.length) found.push(run);
    return found;
  }

  function drawLine(line, values, css) {
    const at = (i) => [view.placeX(line.xs[i]), view.placeY(values[i])];
    let path = "";
    for (const run of stretches(line, values)) {
      if (run.length > 1) path += "M" + run.map((i) => at(i).join(" ")).join("L");
      else plot.append(svg("circle", { class: `dot ${css}`, cx: at(run[0])[0], cy: at(run[0])[1], r: 3.5 }));
    }
    if (path) plot.append(svg("path", { class: css, d: path }));
  }

  function drawBand(line) {
    if (line.smooth.length < 2) return;
    const [low, high] = [Math.min, Math.max].map((least) => line.values.map((_, i) => least(...line.smooth.map((run) => run[i]))));
    let path = "";
    for (const run of stretches(line, line.values)) {
      const edge = (values, order) => order.map((i) => `${view.placeX(line.xs[i])} ${view.placeY(values[i])}`).join("L");
      path += `M${edge(high, run)}L${edge(low, [...run].reverse())}Z`;
    }
    if (path) plot.append(svg("path", { class: `band ${line.variant.fill}`, d: path }));
  }

  function draw() {
    const family = families[element("family").value];
    const axis = element("axis").value;
    const tick = element("earlier");
    if (tick) tick.disabled = axis === "steps";
    const earlier = tick !== null && tick.checked;
    const [log, logX] = [element("logarithmic").checked, element("logarithmic-x").checked];
    const drawable = (value) => value !== null && (!log || value > 0);
    const placed = family.curves.map((curve, i) => places(variants[i], curve.steps, axis, earlier) ?? []);
    const all = placed.flat().filter((x) => !logX || x > 0);
    const [first, last] = all.length ? spread(all) : [logX ? 1 : 0, logX ? 2 : 1];
    const from = first + (last - first) * Number(element("range").value);
    const constant = ((last - first) * Number(element("smoothing").value)) / 100;
    const [unit, size] = unitOf(axis, last);
    const readableX = (x) => (axis === "steps" || axis === "images" ? grouped(Math.round(x)) : `${readable(x / size)} ${unit}`);
    element("constant").textContent = constant > 0 ? `${readableX(Math.max(constant, axis === "steps" ? 1 : 0))}${axis !== "steps" ? "" : Math.round(constant) > 1 ? " steps" : " step"}` : "off";

    const lines = family.curves.map((curve, i) => {
      const xs = placed[i];
      const runs = xs.length ? curve.runs.map((run) => run.map((value, j) => (curve.runs.every((one) => drawable(one[j])) ? value : null))) : [];
      const smoothed = runs.map((run) => smooth(xs, run, constant));
      return { variant: variants[i], index: i, on: shown[i] && xs.length > 0, steps: curve.steps, xs, raw: mean(runs), smooth: smoothed, values: mean(smoothed) };
    });
    const on = lines.filter((line) => line.on);
    const visible = on.flatMap((line) => [line.raw, ...line.smooth].flatMap((values) => values.filter((value, i) => value !== null && line.xs[i] >= from)));
    const width = Math.max(frame.clientWidth, 280);
    const height = Math.round(Math.min(460, Math.max(280, width * 0.44)));
    const area = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    const target = Math.max(4, Math.round(area.width / 130));
    const x = logX && from > 0 ? logarithmic([from / size, last / size]) : linear([from / size, last / size], target, false);
    const y = log ? logarithmic(visible) : linear(visible, 6, true);
    const within = (fraction) => Math.min(1, Math.max(0, fraction));
    const placeX = (at) => Math.round((margin.left + within(x.fraction(at / size)) * area.width) * 10) / 10;
    const placeY = (value) => Math.round((margin.top + (1 - within(y.fraction(value))) * area.height) * 10) / 10;
    view = { axis, from, last, lines, placeX, placeY, readableX, width, height, area, smoothed: constant > 0 };

    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("aria-label", `${family.label} by ${axes[axis].label}, one line a variant. Arrow keys read values.`);
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
      const at = placeX(tick.at * size);
      plot.append(svg("path", { class: "ground", d: `M${at} ${ground}v5` }));
      plot.append(svg("text", { class: "tick", x: at, y: ground + 19, "text-anchor": "middle" }, tick.text));
    }
    const about = [axes[axis].label, unit && `(${unit})`, logX && "log scale"].filter(Boolean).join(" ");
    plot.append(svg("text", { class: "axis", x: right, y: ground + 36, "text-anchor": "end" }, about));
    plot.append(svg("text", { class: "axis", x: 0, y: 14 }, family.label + (log ? ", log scale" : "")));
    for (const line of on) drawBand(line);
    if (view.smoothed) for (const line of on) drawLine(line, line.raw, `raw ${line.variant.line}`);
    for (const line of on) drawLine(line, line.values, `line ${line.variant.line}`);
    if (!visible.length) {
      plot.append(svg("text", { class: "axis", x: margin.left + area.width / 2, y: margin.top + area.height / 2, "text-anchor": "middle" }, "nothing to draw"));
    }
    plot.append(svg("g", { id: "cross" }));

    element("hint").textContent = family.hint;
    const remarks = [...family.remarks];
    const lost = log ? family.curves.flatMap((curve) => curve.runs.flat()).filter((value) => value !== null && value <= 0).length : 0;
    if (lost) remarks.push(`${grouped(lost)} values of zero or less have no place on a log scale: gaps in the lines.`);
    family.curves.forEach((curve, i) => {
      if (curve.steps.length && !placed[i].length) remarks.push(`${variants[i].name} has no line: its ${axis} were not counted.`);
    });
    element("remarks").replaceChildren(
      ...remarks.map((remark) => {
        const item = document.createElement("li");
        item.textContent = remark;
        return item;
      }),
    );
    document.querySelectorAll("#legend button").forEach((button, i) => button.classList.toggle("empty", !lines[i].xs.length));
    mark(marked);
  }

  // --- reading values

  function mark(place) {
    const cross = element("cross");
    cross.replaceChildren();
    const read = [];
    for (const line of view.lines) {
      if (!line.on || !line.xs.length || place === null) continue;
      const i = nearest(line.xs, place);
      if (line.xs[i] >= view.from) read.push({ line, i, x: line.xs[i] });
    }
    readout.hidden = !read.length;
    marked = read.length ? place : null;
    if (!read.length) return;
    // The crosshair stands on a logged step, the one nearest to the pointer.
    const at = read.reduce((best, one) => (Math.abs(one.x - place) < Math.abs(best.x - place) ? one : best)).x;
    const x = view.placeX(at);
    cross.append(svg("path", { class: "cross", d: `M${x} ${margin.top}V${margin.top + view.area.height}` }));

    const table = document.createElement("table");
    table.createCaption().textContent = view.axis === "steps" ? `step ${view.readableX(at)}` : `${view.readableX(at)}${view.axis === "images" ? " images" : ""}`;
    for (const { line, i, x: own } of read) {
      const [raw, value] = [line.raw[i], line.values[i]];
      if (value !== null) cross.append(svg("circle", { class: `dot line ${line.variant.line}`, cx: view.placeX(own), cy: view.placeY(value), r: 3.5 }));
      const row = table.insertRow();
      const name = row.insertCell();
      const swatch = svg("svg", { class: "swatch", width: 30, height: 10, "aria-hidden": "true" });
      swatch.append(svg("path", { class: `line ${line.variant.line}`, d: "M1 5H29" }));
      name.append(swatch, line.variant.name + (own === at && view.axis === "steps" ? "" : ` (step ${grouped(line.steps[i])})`));
      row.insertCell().textContent = value === null ? "no value" : readable(value);
      const further = row.insertCell();
      further.className = "unsmoothed";
      const words = [];
      if (line.smooth.length > 1 && value !== null) {
        const seeds = line.smooth.map((run) => run[i]);
        words.push(`${readable(Math.min(...seeds))} to ${readable(Math.max(...seeds))}`);
      }
      if (view.smoothed && raw !== null) words.push(`raw ${readable(raw)}`);
      further.textContent = words.join(", ");
    }
    readout.replaceChildren(table);
    const scale = plot.clientWidth / view.width;
    const toLeft = x > margin.left + view.area.width / 2;
    readout.style.left = toLeft ? "auto" : `${x * scale + 12}px`;
    readout.style.right = toLeft ? `${frame.clientWidth - x * scale + 12}px` : "auto";
  }

  function point(event) {
    const box = plot.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * view.width;
    // The nearest logged place on the screen, whatever the scale.
    const all = view.lines.filter((line) => line.on).flatMap((line) => line.xs.filter((x) => x >= view.from));
    if (all.length) mark(all.reduce((best, x) => (Math.abs(view.placeX(x) - at) < Math.abs(view.placeX(best) - at) ? x : best)));
  }

  function walk(event) {
    const all = view.lines.filter((line) => line.on).flatMap((line) => line.xs.filter((x) => x >= view.from));
    const places = [...new Set(all)].sort((a, b) => a - b);
    if (!places.length) return;
    const here = marked === null ? -1 : nearest(places, marked);
    const stride = event.shiftKey ? 10 : 1;
    const to = { ArrowRight: here + stride, ArrowLeft: here < 0 ? places.length - 1 : here - stride, Home: 0, End: places.length - 1 }[event.key];
    if (event.key === "Escape") mark(null);
    if (to === undefined) return;
    event.preventDefault();
    mark(places[Math.min(places.length - 1, Math.max(0, to))]);
  }

  // --- wiring

  // The frame no longer scrolls, and the plot answers keys: to a screen reader it is no mere image.
  frame.classList.add("live");
  frame.removeAttribute("tabindex");
  plot.setAttribute("role", "application");
  plot.setAttribute("tabindex", "0");
  readout.setAttribute("aria-live", "polite");
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", () => mark(null));
  plot.addEventListener("keydown", walk);
  plot.addEventListener("blur", () => mark(null));
  document.addEventListener("variants", (event) => {
    shown = event.detail;
    draw();
  });
  controls.hidden = false;
  controls.addEventListener("input", draw);
  controls.addEventListener("submit", (event) => event.preventDefault());
  // In the next frame: drawing changes the frame's height, which an observer may not do while it is told of sizes.
  const resized = () => {
    if (frame.clientWidth && frame.clientWidth !== view?.width) draw();
  };
  new ResizeObserver(() => requestAnimationFrame(resized)).observe(frame);
  draw();
})();
