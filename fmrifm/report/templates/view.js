addEventListener("load", () => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const brain = brainsprite({ ...settings, sizeFont: innerWidth < 480 ? 0.13 : 0.08, onclick: () => tell() });
  const axes = ["X", "Y", "Z"], slider = id => document.getElementById(id), opacity = slider("opacity");

  const tell = () => {
    for (const axis of axes) {
      slider(axis).value = brain.numSlice[axis];
      slider(axis).nextElementSibling.textContent = `${Math.round(brain.coordinatesSlice[axis])} mm`.replace("-", "−");
    }
    opacity.nextElementSibling.textContent = `${opacity.value} %`;
  };
  const draw = () => {
    for (const axis of axes) brain.numSlice[axis] = Number(slider(axis).value);
    brain.overlay.opacity = opacity.value / 100;
    brain.init();
    brain.drawAll();
    tell();
  };

  for (const axis of axes) Object.assign(slider(axis), { min: 0, max: settings.nbSlice[axis] - 1 });
  Object.assign(opacity, { min: 0, max: 100, value: 100 });
  for (const input of document.querySelectorAll("input")) input.addEventListener("input", draw);
  tell();
});
