"""What prices, or the rule, would have made of what really ran (docs/backtest.md).

columns     the rating of a month, of many accounts at once                          (core)
history     what ran, on whose terms, in columns                                     (core)
rerating    all of it under its own terms, and under drafts                          (core)
findings    who pays more, by how much, what is at risk, which brackets are crossed  (core)
holding     the price protection that would hold an account harmless                 (core)
solving     the free runs, or the price, that keep revenue                           (core)
report      all of that as data, and as rows                                         (core)
gathering   reads history; thresholds: the same by another threshold; operation: for every door
"""
