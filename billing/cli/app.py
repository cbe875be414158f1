"""The commands, in the order of the help."""

from __future__ import annotations

from billing.cli import (
    account_credit,
    account_erasure,
    account_terms,
    accounts,
    advise,
    alerts,
    anomalies,
    audit,
    backtest,
    collect,
    contract_documents,
    contracts,
    corrections,
    deliveries,
    demo,
    disputes,
    downgrade,
    estimate,
    events,
    explain,
    export,
    halves,
    ingest,
    init,
    invoice_changes,
    invoices,
    keeping,
    keys,
    links,
    month,
    move,
    operators,
    plans,
    preview,
    proposals,
    reconcile,
    report,
    run,
    sandbox,
    schedule,
    serve,
    sources,
    summary,
    usage,
    webhooks,
    whatif,
)
from billing.cli.commands import noun
from billing.cli.errors import OneLineErrors

app = noun(
    "Meter task runs and bill success: only runs that succeed and last longer than a second count.",
    cls=OneLineErrors,
)

for module in (init, demo, serve, schedule, move, downgrade, keeping):
    module.add_to(app)
for topic in (account_terms, account_credit, account_erasure):
    topic.add_to(accounts.group)
contract_documents.add_to(contracts.group)
halves.add_to(sources.group)
app.add_typer(accounts.group, name="accounts")
app.add_typer(contracts.group, name="contracts")
app.add_typer(plans.group, name="plans")
app.add_typer(collect.group, name="collect")
app.add_typer(sources.group, name="sources")
for module in (
    ingest,
    corrections,
    usage,
    summary,
    preview,
    run,
    reconcile,
    anomalies,
    backtest,
    estimate,
    export,
):
    module.add_to(app)
for module in (backtest, whatif, advise):
    module.add_to(app)
explain.add_to(invoices.group)
app.add_typer(month.group, name="month")
app.add_typer(report.group, name="report")
invoice_changes.add_to(invoices.group)
app.add_typer(invoices.group, name="invoices")
app.add_typer(disputes.group, name="disputes")
app.add_typer(links.group, name="links")
app.add_typer(alerts.group, name="alerts")
app.add_typer(webhooks.group, name="webhooks")
app.add_typer(deliveries.group, name="deliveries")
app.add_typer(keys.group, name="keys")
app.add_typer(operators.group, name="operators")
app.add_typer(proposals.group, name="proposals")
app.add_typer(audit.group, name="audit")
app.add_typer(events.group, name="events")
app.add_typer(corrections.group, name="corrections")
sandbox.add_to(app)
