"""Why an invoice is what it is: every line as a small calculation with its numbers, the change against last
month by what caused it, and the task runs behind it.

`steps` is how a calculation is written down, so that a program can do it again. `facts` is what there is to
know; `rated_lines`, `term_lines` and `contract_lines` explain a kind of line each, `lines` all of them;
`draws` and `change` the rest (all pure). `names` counts by flow and workspace, `documents` and `operation`
gather. The doors call `operation`.
"""
