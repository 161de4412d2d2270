// Menus, and the sheets that they open.
addEventListener("click", ({ target }) => target.closest("[popover] a")?.closest("[popover]").hidePopover());
// What waits its seconds has its toast.
addEventListener("held", ({ target }) => target.closest("[popover]")?.hidePopover());

// What was opened from a menu gives the focus back to it: browsers see to the first popover alone.
addEventListener("toggle", ({ target, newState }) => {
  const lost = document.activeElement === document.body || target.contains(document.activeElement);
  if (newState === "closed" && lost)
    document.querySelector(`[popovertarget="${target.id}"]`)?.focus();
}, true);
