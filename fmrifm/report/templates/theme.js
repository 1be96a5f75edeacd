{
  const themes = ["system", "light", "dark"], root = document.documentElement, key = "fmrifm-theme";
  // A page opened from disk may be refused storage; then the choice lasts as long as the page.
  const remembered = () => { try { return sessionStorage.getItem(key); } catch { return null; } };
  const remember = theme => { try { sessionStorage.setItem(key, theme); } catch { /* not kept */ } };
  const show = theme => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
  };
  let theme = themes.includes(remembered()) ? remembered() : "system";
  show(theme);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme"), label = () => { button.textContent = `Theme: ${theme}`; };
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      remember(theme);
      show(theme);
      label();
    });
    label();
    button.hidden = false;
  });
}
