// Menus, and the sheets that they open.
addEventListener("click", ({ target }) => target.closest("[popover] a")?.closest("[popover]").hidePopover());

// What was opened from a menu gives the focus back to it: browsers see to the first popover alone.
addEventListener("toggle", ({ target, newState }) => {
  if (newState === "closed" && document.activeElement === document.body)
    document.querySelector(`[popovertarget="${target.id}"]`)?.focus();
}, true);
