"use strict";
// What concerns the whole page: which variants are shown, the samples' slider, and print. Without it, all variants are shown and the
// samples are the last.
(() => {
  const element = (id) => document.getElementById(id);

  // --- variants: every legend has the same buttons, and each acts on all plots and pictures

  const buttons = [...document.querySelectorAll(".legend button")];
  const count = Math.max(0, ...buttons.map((button) => Number(button.dataset.of) + 1));
  const shown = Array.from({ length: count }, () => true);

  function show() {
    for (const button of buttons) button.setAttribute("aria-pressed", String(shown[button.dataset.of]));
    for (const part of document.querySelectorAll("[data-variant]")) part.classList.toggle("off", !shown[part.dataset.variant]);
    document.dispatchEvent(new CustomEvent("variants", { detail: [...shown] }));
  }

  for (const button of buttons) {
    button.disabled = false;
    button.title = "Show or hide this variant everywhere";
    button.addEventListener("click", () => {
      shown[button.dataset.of] = !shown[button.dataset.of];
      show();
    });
  }

  // --- samples over training

  const training = element("training");
  if (training) {
    const { steps, variants } = JSON.parse(element("grids").textContent);
    const figures = [...document.querySelectorAll("#samples-section figure")];
    const move = () => {
      const step = steps[Number(element("progress").value)];
      element("progress-step").textContent = `step ${step.toLocaleString("en")}`;
      element("progress").setAttribute("aria-valuetext", `step ${step}`);
      figures.forEach((figure, i) => {
        const { steps: own, images } = variants[i];
        const image = figure.querySelector("img");
        if (!image || !own.length) return;
        const last = own.filter((at) => at <= step).length - 1;
        image.style.visibility = last < 0 ? "hidden" : "visible";
        if (last >= 0) image.src = images[last];
        figure.querySelector(".step").textContent = last < 0 ? "no samples yet" : `step ${own[last].toLocaleString("en")}`;
      });
    };
    training.hidden = false;
    training.addEventListener("input", move);
    training.addEventListener("submit", (event) => event.preventDefault());
    move();
  }

  // --- print: all is unfolded, and folded again afterwards

  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      folded.push(details);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
  });
})();
