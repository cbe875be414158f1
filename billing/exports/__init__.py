"""Exports: a month's usage, invoices and contracts as files for other programs, and FOCUS, in which the costs
of all providers are compared.

`table` is what a file holds, whatever its format; `usage_rows`, `invoice_rows`, `contract_rows` and `focus`
make the rows; `csv_file`, `xlsx_file` and `parquet_file` write them; `operation` is what the doors call.
"""
