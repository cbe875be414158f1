"""All of billing's SQL, one module a noun. Functions take an open connection; who calls decides what is one
transaction."""
