// Menus and sheets: whoever follows a link or sends a form in one has done with it.
const done = ({ target }) => target.closest("[popover]")?.hidePopover();
addEventListener("click", (event) => event.target.closest("[popover] a") && done(event));
