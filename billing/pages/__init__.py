"""The customer's pages: a door like the others, for people. Whoever has a signed link sees one account.

`rooms` are the addresses; `visit` is who is there, and how a page is answered; the other modules are a page
each: they ask the same functions as the other doors, and hand values to a template."""

from billing.pages.rooms import make_pages as make_pages
