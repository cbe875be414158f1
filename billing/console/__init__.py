"""The operator's console: a door like the others, for people who run the service. Whoever is signed in may
what their role may.

`rooms` are the addresses, each with the least role it takes; `visit` is who is there, and how a page is
answered; `work` goes on behind a page; the other modules are pages: they ask the same functions as the other
doors, and hand values to a template."""

from billing.console.rooms import Console as Console
