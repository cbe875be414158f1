"""`billing demo`: the main job of the service on a database of its own.

synthetic   a past month of several customers, always the same, with the counts that it must come to
workspace   the folder of the demo, made anew each time
customer    the customer's side at the Stripe sandbox: a card, a payment, and the webhook that tells us
story       what is shown, in what order
"""
