// Reads out a chart of bars: what the bar under the pointer or the finger holds, and with the arrow keys one
// bar after the other. The page says all of it without this file too, in the titles of bars and in tables.
"use strict";

for (const figure of document.querySelectorAll("figure.chart")) {
  const plot = figure.querySelector(".plot");
  const picture = figure.querySelector(".bars");
  // What a bar says; the titles go, for two of the same would be shown.
  const bars = [...figure.querySelectorAll(".slot")].map((slot) => {
    const title = slot.querySelector("title");
    const says = title.textContent;
    title.remove();
    return { slot, says };
  });
  const readout = document.createElement("p");
  const hint = "Point at a bar, or step through them with the arrow keys.";
  readout.className = "readout soft";
  readout.textContent = hint;
  readout.setAttribute("role", "status");
  figure.append(readout);
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${picture.querySelector("title").textContent}. ${hint}`);
  picture.querySelector("title").remove();
  picture.removeAttribute("aria-labelledby");
  picture.setAttribute("aria-label", plot.getAttribute("aria-label").split(". ")[0]);

  let at = -1;
  const show = (next) => {
    if (at >= 0) bars[at].slot.classList.remove("at");
    at = next;
    if (at >= 0) bars[at].slot.classList.add("at");
    readout.textContent = at >= 0 ? bars[at].says : hint;
  };
  const last = bars.length - 1;
  const steps = {
    ArrowRight: () => Math.min(last, at + 1),
    ArrowLeft: () => Math.max(0, at < 0 ? last : at - 1),
    Home: () => 0,
    End: () => last,
    Escape: () => -1,
  };
  plot.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(step());
  });
  plot.addEventListener("blur", () => show(-1));
  const under = (event) => {
    const slot = event.target.closest(".slot");
    if (slot !== null) show(bars.findIndex((bar) => bar.slot === slot));
  };
  plot.addEventListener("pointermove", under);
  plot.addEventListener("pointerdown", under);
  plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== plot) show(-1);
  });
}
