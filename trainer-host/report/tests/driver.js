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
  const bottom = (node) => node && node.getBoundingClientRect().bottom + scrollY;
  const unscripted = Boolean(document.querySelector("script[type='text/plain']"));

  function choose(control, value) {
    operated.add(control);
    expect(!control.disabled && visible(control), `#${control.id} cannot be operated`);
    if (control.type === "checkbox") return control.click();
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function press(button) {
    operated.add(button);
    button.click();
  }

  // The answer, before anything is pressed: sentence, table, curves and samples.
  const first = {
    sentence: bottom(document.querySelector("h1")),
    verdicts: bottom(document.querySelector("#verdicts table")),
    losses: bottom(document.querySelector("#losses .curve:not([hidden]) svg")),
    samples: Math.max(0, ...all("#samples img").filter(visible).map(bottom)),
  };

  try {
    expect(all("details").every((details) => !details.open), "something is unfolded from the beginning");
    const images = () => all("#samples img").filter(visible);
    const curves = () => all("#losses .curve").filter(visible);
    if (unscripted) {
      expect(all("#curve, #progress").every((control) => !visible(control)), "a control is shown that does nothing");
      expect(all("#verdicts button").length === 0, "a button can be pressed that does nothing");
    }
    if (all("#losses svg").length) {
      expect(curves().length === 1 && curves()[0].querySelectorAll("path.line, circle.line").length > 0, "there is not one chart of curves");
      expect(curves()[0].textContent.includes("step"), "the first chart is not by step");
    }
    for (const image of images()) expect(image.complete && image.naturalWidth > 0, `${image.alt}: no picture`);

    // --- the curves
    if (element("curve") && !unscripted) {
      const seen = new Set();
      for (const option of element("curve").options) {
        choose(element("curve"), option.value);
        expect(curves().length === 1, `${curves().length} charts are shown for ${option.textContent}`);
        const [name] = option.textContent.split(",");
        expect(curves()[0].querySelector("svg").getAttribute("aria-label").startsWith(name), `${option.textContent} shows another chart`);
        seen.add(curves()[0].querySelector("svg").innerHTML);
      }
      expect(seen.size === element("curve").options.length, "two choices show the same chart");
      choose(element("curve"), "0");
    }

    // --- reading values, by key and by pointer
    const box = curves()[0]?.querySelector(".scroll");
    const reading = document.querySelector(".reading");
    if (box && !unscripted && box.querySelector(".read")) {
      const key = (name) => box.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
      expect(box.tabIndex === 0, "the chart cannot be reached by keyboard");
      key("Home");
      expect(!reading.hidden && reading.textContent.startsWith("step"), "Home reads no value");
      const start = reading.textContent;
      if (box.querySelectorAll(".read").length > 1) {
        key("ArrowRight");
        expect(reading.textContent !== start, "ArrowRight reads the same value");
        key("ArrowLeft");
        expect(reading.textContent === start, "ArrowLeft does not come back");
      }
      key("End");
      expect(reading.querySelectorAll("div").length > 0, "End reads no value");
      key("Escape");
      expect(reading.hidden, "Escape leaves the values");
      box.querySelector(".read").dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      expect(!reading.hidden, "the pointer reads no value");
      box.dispatchEvent(new PointerEvent("pointerleave"));
      expect(reading.hidden, "the values stay when the pointer has left");
      key("End");
      const button = all("#verdicts button")[0];
      const lines = reading.textContent;
      press(button);
      key("End");
      expect(reading.textContent.length < lines.length, "a hidden variant's values are read");
      press(button);
      key("Escape");
    }

    // --- variants: every name in the table, on every chart and picture
    for (const button of all("#verdicts button")) {
      const parts = all(`[data-variant="${button.closest("tr").dataset.row}"]`);
      const count = button.closest("tr").dataset.row;
      press(button);
      expect(button.getAttribute("aria-pressed") === "false", `variant ${count} is not said to be off`);
      expect(parts.every((part) => getComputedStyle(part).display === "none"), `variant ${count} is still shown`);
      press(button);
      expect(button.getAttribute("aria-pressed") === "true", `variant ${count} does not come back`);
      expect(parts.every((part) => getComputedStyle(part).display !== "none"), `variant ${count} stays hidden`);
    }
    if (!unscripted) expect(all("#verdicts button").length === all("#verdicts [data-row]").length, "a variant has no button");

    // --- samples
    const slider = element("progress");
    if (slider && !unscripted) {
      const output = slider.parentElement.querySelector("output");
      const last = images().map((image) => image.src);
      const steps = new Set();
      for (let at = Number(slider.min); at <= Number(slider.max); at++) {
        choose(slider, String(at));
        steps.add(output.textContent);
        for (const figure of all("#samples figure")) {
          expect([...figure.querySelectorAll("[data-step]")].filter(visible).length <= 1, "two grids of one variant are shown");
        }
      }
      expect(steps.size === Number(slider.max) + 1, "the slider names a step twice");
      expect(images().map((image) => image.src).join() === last.join(), "the end of the slider is not the last grid");
      // One variant has a grid at step 1; the others have none so early, and say so.
      choose(slider, "0");
      const early = all("#samples figure").filter((figure) => visible(figure.querySelector(".absent:last-child")));
      expect(early.length > 1 && early.every((figure) => ![...figure.querySelectorAll("img")].some(visible)), "a grid is shown before there was one");
      choose(slider, "1");
      expect(images().filter((image) => !last.includes(image.src)).length > 1, "the slider moves no variants");
      await settle();
      for (const image of images()) expect(image.complete && image.naturalWidth > 0, `${image.alt}: no picture`);
      choose(slider, slider.max);
    }
    if (element("large")) {
      const before = images()[0]?.getBoundingClientRect().width;
      choose(element("large"));
      expect(!before || images()[0].getBoundingClientRect().width > before, "large samples are no larger");
      choose(element("large"));
      expect(!before || images()[0].getBoundingClientRect().width === before, "large samples stay large");
    }

    // --- what unfolds
    for (const summary of all("summary")) {
      press(summary);
      expect(summary.parentElement.open, `${summary.textContent} does not unfold`);
      press(summary);
      expect(!summary.parentElement.open, `${summary.textContent} does not fold`);
    }
    if (!unscripted) {
      const open = () => all("details").map((details) => details.open).join();
      if (all("details").length > 1) all("details")[0].open = true;
      const before = open();
      window.dispatchEvent(new Event("beforeprint"));
      expect(all("details").every((details) => details.open), "something stays folded in print");
      window.dispatchEvent(new Event("afterprint"));
      expect(open() === before, "print leaves something unfolded, or folds what was open");
    }

    // --- the page as a whole, all of it unfolded
    for (const details of all("details")) details.open = true;
    await settle();
    const wide = document.documentElement.scrollWidth;
    expect(wide <= innerWidth, `the page is ${wide} wide in a window of ${innerWidth}`);
    const light = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
    const [paper, ink] = [light(getComputedStyle(document.documentElement).backgroundColor), light(getComputedStyle(document.body).color)];
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    expect(dark ? paper < 0.2 && ink > 0.8 : paper > 0.8 && ink < 0.2, `paper ${paper} and ink ${ink} where a ${dark ? "dark" : "light"} page is asked for`);
    for (const image of all("img")) expect(image.alt, "an image has no words in its place");
    for (const box of all(".scroll")) {
      expect(box.tabIndex === 0 && box.getAttribute("role") === "region" && box.getAttribute("aria-label"), "what scrolls cannot be reached by keyboard");
    }
    for (const control of all("input, select")) expect(control.labels.length === 1, `#${control.id} has no label`);
    for (const control of all("input, select, button, summary, a, textarea, [contenteditable]")) {
      expect(operated.has(control) || (unscripted && !visible(control)), `nobody has operated ${control.outerHTML.slice(0, 90)}`);
    }
  } catch (error) {
    found.push(`${error}\n${error.stack}`);
  } finally {
    parent.postMessage(JSON.stringify({ width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches, operated: operated.size, found, first }), "*");
  }
});
