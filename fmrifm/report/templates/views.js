{
  // A view is built when it comes near the screen, so that a page of many opens at once.
  const open = entries => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !target.srcdoc) target.srcdoc = target.dataset.html;
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    const watch = new IntersectionObserver(open, { rootMargin: "300px" });
    for (const figure of document.querySelectorAll("figure.view")) {
      figure.hidden = false;
      watch.observe(figure.querySelector("iframe"));
    }
  });
}
