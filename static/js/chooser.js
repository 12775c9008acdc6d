/* Choosers of /admin: what Select2 shows as chosen has no name for screen readers; the label has. */
django.jQuery(() => { // after autocomplete.js, which waits for the same moment
  document.querySelectorAll(".select2-selection__rendered").forEach((chosen) => {
    const field = chosen.id.replace(/^select2-|-container$/g, "");
    const label = document.querySelector(`label[for="${field}"]`);
    if (label) chosen.setAttribute("aria-label", label.textContent.trim());
  });
});
