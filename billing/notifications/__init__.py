"""Notifications: events that others are told of, by webhook and by e-mail, until they have taken them."""
