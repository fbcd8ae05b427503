"use strict";
// Operates every control of the page as a reader would, looks at what changed, and tells the document around it what it found. A control that no line here operates is a finding too.
window.addEventListener("load", async () => {
  const found = [];
  const operated = new Set();
  const element = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const expect = (holds, words) => holds || found.push(words);
  const settle = () => new Promise((resolve) => setTimeout(resolve, 300));
  const visible = (node) => getComputedStyle(node).display !== "none" && node.getClientRects().length > 0;

  function choose(control, value) {
    operated.add(control);
    expect(!control.disabled && visible(control), `#${control.id} cannot be operated`);
    if (control.type === "checkbox" || control.type === "radio") return control.click();
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function press(button) {
    operated.add(button);
    button.click();
  }
  const options = (select) => [...select.options].map((option) => option.value);
  const plot = element("plot");
  const lines = (selector = "path.line") => [...plot.querySelectorAll(selector)].map((path) => path.getAttribute("d"));
  const title = () => plot.getAttribute("aria-label");
  const words = () => plot.textContent;
  const key = (name, more = {}) => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));

  // What the page is without its scripts: no control that does nothing, and all that is essential.
  function unscripted() {
    expect(all("form").every((form) => !visible(form)), "a form is shown that does nothing");
    expect(all(".legend button").every((button) => button.disabled), "a button can be pressed that does nothing");
    expect(lines().length > 0 && words().includes("step"), "there is no static plot");
    expect(all("#samples-section img").every((image) => image.naturalWidth > 0), "a sample is no picture");
    for (const radio of all("input[type=radio]")) operated.add(radio) && radio.click();
    expect(all(".panel").filter(visible).length === 1, "the feature maps have no panel");
  }

  try {
    if (document.querySelector("script[type='text/plain']")) unscripted();
    // --- the curves
    else if (element("controls")) {
      expect(visible(element("controls")), "the controls of the curves stay hidden");
      const seen = new Set();
      for (const value of options(element("family"))) {
        choose(element("family"), value);
        const name = element("family").selectedOptions[0].textContent;
        expect(title().startsWith(name), `family ${name}: the plot is of ${title()}`);
        seen.add(lines().join());
      }
      expect(seen.size === options(element("family")).length, "two families draw the same lines");
      choose(element("family"), "0");

      const places = new Set();
      for (const value of options(element("axis"))) {
        choose(element("axis"), value);
        places.add(title());
        if (element("earlier")) {
          expect(element("earlier").disabled === (value === "steps"), `earlier phases on the axis ${value}: the box is wrongly enabled or not`);
          if (value !== "steps") {
            const before = lines().join();
            choose(element("earlier"));
            expect(lines().join() !== before, `earlier phases change nothing over ${value}`);
            choose(element("earlier"));
            expect(lines().join() === before, `earlier phases do not come back over ${value}`);
          }
        }
      }
      expect(places.size === options(element("axis")).length, "two axes have one name");
      choose(element("axis"), "steps");

      const whole = lines().join().length;
      for (const value of options(element("range")).slice(1)) {
        choose(element("range"), value);
        expect(lines().join().length < whole, `range ${value} shows as much as all`);
      }
      choose(element("range"), "0");
      expect(lines().join().length === whole, "the whole range does not come back");

      choose(element("smoothing"), "0");
      const raw = lines().join();
      expect(element("constant").textContent === "off" && !lines("path.raw").length, "smoothing at 0 is not off");
      choose(element("smoothing"), "10");
      expect(element("constant").textContent !== "off" && lines("path.raw").length > 0, "smoothing at 10 has no raw lines behind");
      expect(lines().join() !== raw, "smoothing changes no line");
      choose(element("smoothing"), "1");

      for (const id of ["logarithmic", "logarithmic-x"]) {
        const before = lines().join();
        choose(element(id));
        const said = words().includes("log scale");
        expect(said && lines().join() !== before, `#${id} is not drawn or not said`);
        choose(element(id));
        expect(lines().join() === before && !words().includes("log scale"), `#${id} does not come back`);
      }
      choose(element("logarithmic"));
      choose(element("logarithmic-x"));
      for (const axis of options(element("axis"))) choose(element("axis"), axis);
      choose(element("logarithmic"));
      choose(element("logarithmic-x"));
      choose(element("axis"), "steps");

      // --- reading values, by key and by pointer
      const readout = element("readout");
      expect(plot.tabIndex === 0, "the plot cannot be reached by keyboard");
      expect(plot.getAttribute("role") === "application", "a plot that answers keys is called an image");
      key("Home");
      expect(!readout.hidden && readout.textContent.includes("step"), "Home reads no value");
      const first = readout.textContent;
      key("ArrowRight");
      expect(readout.textContent !== first, "ArrowRight reads the same value");
      key("ArrowRight", { shiftKey: true });
      key("ArrowLeft");
      key("End");
      expect(readout.querySelectorAll("tr").length > 0, "End reads no value");
      key("Escape");
      expect(readout.hidden, "Escape leaves the values");
      const box = plot.getBoundingClientRect();
      plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, clientY: box.top + 50, bubbles: true }));
      expect(!readout.hidden, "the pointer reads no value");
      plot.dispatchEvent(new PointerEvent("pointerleave"));
      expect(readout.hidden, "the values stay when the pointer has left");
      const seeds = Math.max(...JSON.parse(element("data").textContent).families[0].curves.map((curve) => curve.runs.length));
      expect(all("#plot .band").length > 0 === seeds > 1, `${seeds} seeds and ${all("#plot .band").length} bands`);
    }

    if (document.querySelector("script[type='text/plain']")) return;

    // --- variants: every legend's every button, on every plot and picture
    for (const button of all(".legend button")) {
      const index = button.dataset.of;
      const parts = all(`[data-variant="${index}"]`);
      const drawn = plot ? plot.querySelectorAll(`.line.c${index % 8}`).length : 0;
      press(button);
      const same = all(`.legend button[data-of="${index}"]`);
      expect(same.every((one) => one.getAttribute("aria-pressed") === "false"), `variant ${index} is not off in every legend`);
      expect(parts.every((part) => getComputedStyle(part).display === "none"), `variant ${index} is still shown`);
      expect(!drawn || !plot.querySelectorAll(`.line.c${index % 8}`).length, `variant ${index} is still in the curves`);
      press(button);
      expect(same.every((one) => one.getAttribute("aria-pressed") === "true"), `variant ${index} does not come back`);
      expect(parts.every((part) => getComputedStyle(part).display !== "none"), `variant ${index} stays hidden`);
    }

    // --- samples
    const images = () => all("#samples-section img");
    if (element("progress")) {
      const slider = element("progress");
      const last = images().map((image) => image.src);
      const steps = new Set();
      for (let at = Number(slider.min); at <= Number(slider.max); at++) {
        choose(slider, String(at));
        steps.add(element("progress-step").textContent);
      }
      expect(steps.size === Number(slider.max) + 1, "the slider names a step twice");
      expect(images().map((image) => image.src).join() === last.join(), "the end of the slider is not the last grid");
      // One variant has a grid at step 1; the others have none so early, and say so.
      choose(slider, "0");
      const early = all("#samples-section figure").filter((figure) => figure.textContent.includes("no samples yet"));
      expect(early.length > 1 && early.every((figure) => figure.querySelector("img").style.visibility === "hidden"), "a grid is shown before there was one");
      choose(slider, "1");
      const moved = images().filter((image, i) => image.src !== last[i]).length;
      expect(moved > 1, `${moved} variants moved with the slider`);
      await settle();
      for (const image of images()) expect(image.complete && image.naturalWidth > 0, `${image.alt}: no picture`);
      choose(slider, slider.max);
    }
    const widths = new Set();
    for (const radio of all("input[name=scale]").reverse()) {
      choose(radio);
      widths.add(Math.round(images()[0].getBoundingClientRect().width));
    }
    expect(widths.size === all("input[name=scale]").length, `sizes of samples: ${[...widths]}`);

    // --- feature maps
    for (const radio of all("input[name=map-time]")) {
      choose(radio);
      const shown = all(".panel").filter(visible);
      expect(shown.length === 1 && shown[0].id === radio.id.replace("map-time", "maps"), `${radio.id} shows ${shown.map((panel) => panel.id)}`);
    }

    // --- what unfolds, and what leads elsewhere in the page
    for (const summary of all("summary")) {
      press(summary);
      expect(summary.parentElement.open, `${summary.textContent} does not unfold`);
      press(summary);
      expect(!summary.parentElement.open, `${summary.textContent} does not fold`);
    }
    for (const link of all("a")) {
      expect(element(link.getAttribute("href").slice(1)), `${link.textContent} leads nowhere`);
      press(link);
    }
    const open = () => all("details").map((details) => details.open).join();
    if (all("details").length > 1) all("details")[0].open = true;
    const before = open();
    window.dispatchEvent(new Event("beforeprint"));
    expect(all("details").every((details) => details.open), "something stays folded in print");
    window.dispatchEvent(new Event("afterprint"));
    expect(open() === before, "print leaves something unfolded, or folds what was open");

    // --- the page as a whole
    await settle();
    const wide = document.documentElement.scrollWidth;
    expect(wide <= innerWidth, `the page is ${wide} wide in a window of ${innerWidth}`);
    const light = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
    const [paper, ink] = ["backgroundColor", "color"].map((name) => light(getComputedStyle(document.body)[name]));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    expect(dark ? paper < 0.2 && ink > 0.8 : paper > 0.8 && ink < 0.2, `paper ${paper} and ink ${ink} where a ${dark ? "dark" : "light"} page is asked for`);
    for (const image of all("img")) expect(image.alt, "an image has no words in its place");
    for (const box of all(".scroll, .plot:not(.live)")) {
      const name = box.getAttribute("aria-label") ?? element(box.getAttribute("aria-labelledby"))?.textContent;
      expect(box.tabIndex === 0 && box.getAttribute("role") === "region" && name, `what scrolls cannot be reached by keyboard: ${name}`);
    }
    for (const control of all("input, select")) expect(control.labels.length === 1, `#${control.id} has no label`);
    for (const control of all("input, select, button, summary, a, textarea, [contenteditable]")) {
      expect(operated.has(control), `nobody has operated ${control.outerHTML.slice(0, 90)}`);
    }
  } catch (error) {
    found.push(`${error}\n${error.stack}`);
  } finally {
    parent.postMessage(JSON.stringify({ width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches, operated: operated.size, found }), "*");
  }
});
