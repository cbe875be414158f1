"""What may change an invoice: terms, contracts, credits, credit notes, voids.

Plans of accounts become entries of their terms. Invoices made before are numbered into their account's books
after them, in the order in which they were made.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Text that is compared and sorted by its bytes on both engines.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_tables()
    _alter_accounts()
    _alter_invoices()
    _rebuild_outbox()
    _number_the_books()
    op.drop_table("enrolments")


def _create_tables() -> None:
    stripe_rate = op.create_table(
        "stripe_rate",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.bulk_insert(stripe_rate, [{"name": "stripe", "data": "{}"}])
    op.create_table(
        "account_terms",
        sa.Column("account_id", _TEXT, nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("amendment", sa.Boolean(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("account_id", "entry"),
    )
    op.create_table(
        "contracts",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("account_id", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("contracts_by_account", "contracts", ["account_id"], unique=False)
    op.create_table(
        "referrals",
        sa.Column("referred", _TEXT, nullable=False),
        sa.Column("referrer", _TEXT, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["referred"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["referrer"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("referred"),
    )
    op.create_table(
        "deliveries",
        sa.Column("contract_id", _TEXT, nullable=False),
        sa.Column("service", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("delivered_on", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"]),
        sa.PrimaryKeyConstraint("contract_id", "service"),
    )
    op.create_table(
        "run_ledger",
        sa.Column("contract_id", _TEXT, nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("grant_id", _TEXT, nullable=False),
        sa.Column("effective_on", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("corrects", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"]),
        sa.PrimaryKeyConstraint("contract_id", "entry"),
    )
    op.create_table(
        "credit_ledger",
        sa.Column("account_id", _TEXT, nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("credit_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("account_id", "entry", "credit_id"),
    )
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("account_id", _TEXT, nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("stripe_credit_note_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("stripe_credit_note_id"),
    )
    op.create_index("credit_notes_by_account", "credit_notes", ["account_id"], unique=False)
    op.create_index("credit_notes_by_invoice", "credit_notes", ["invoice_id"], unique=False)


def _alter_accounts() -> None:
    op.add_column("accounts", sa.Column("closed_on", sa.Text(), nullable=True))
    op.add_column("accounts", sa.Column("details", sa.Text(), server_default="{}", nullable=False))
    op.add_column(
        "accounts", sa.Column("stripe_customer_holds", sa.Text(), server_default="{}", nullable=False)
    )
    op.add_column("accounts", sa.Column("entries", sa.Integer(), server_default="0", nullable=False))


def _alter_invoices() -> None:
    with op.batch_alter_table("invoices") as batch:
        batch.alter_column("run_id", existing_type=sa.Text(), nullable=True)
        batch.alter_column("cutoff", existing_type=sa.BigInteger(), nullable=True)
        batch.alter_column("run_list_sha256", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("contract_id", _TEXT, nullable=True))
        batch.add_column(sa.Column("drawn", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("entry", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("void_entry", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("voided_at", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("void_reason", sa.Text(), nullable=True))
        batch.add_column(sa.Column("bill_to", sa.Text(), server_default="{}", nullable=False))
        batch.add_column(sa.Column("approved_by", sa.Text(), nullable=True))
        batch.create_foreign_key("invoices_contract_id_fkey", "contracts", ["contract_id"], ["id"])
    op.create_index("invoices_by_account", "invoices", ["account_id", "month"], unique=False)
    op.add_column("invoice_lines", sa.Column("month", sa.Text(), nullable=True))
    op.add_column("invoice_lines", sa.Column("reference", sa.Text(), nullable=True))


def _rebuild_outbox() -> None:
    """An intent gets an id of its own: an invoice may be sent, credited and voided."""
    op.drop_index("outbox_due", table_name="outbox")
    op.rename_table("outbox", "outbox_before")
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("credit_note_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step_since", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["credit_note_id"], ["credit_notes.id"]),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    kept = "step, status, attempts, generation, step_since, next_attempt_at, claimed_until, error"
    op.execute(
        f"INSERT INTO outbox (id, kind, invoice_id, {kept}) "  # noqa: S608 - no text of a user
        f"SELECT invoice_id, 'send', invoice_id, {kept} FROM outbox_before"
    )
    op.drop_table("outbox_before")
    op.create_index("outbox_due", "outbox", ["status", "next_attempt_at"], unique=False)
    op.create_index("outbox_by_invoice", "outbox", ["invoice_id"], unique=False)


def _number_the_books() -> None:
    connection = op.get_bind()
    accounts = connection.execute(sa.text("SELECT id, created_at FROM accounts")).all()
    for account in accounts:
        key = {"account": account.id}
        enrolled = connection.execute(
            sa.text(
                "SELECT from_month, plan, version FROM enrolments WHERE account_id = :account "
                "ORDER BY from_month"
            ),
            key,
        ).all()
        entry = 0
        for entry, row in enumerate(enrolled, start=1):
            data = json.dumps({"from": row.from_month, "plan": row.plan, "version": row.version})
            connection.execute(
                sa.text(
                    "INSERT INTO account_terms (account_id, entry, kind, data, amendment, author, reason, "
                    "recorded_at) VALUES (:account, :entry, 'plan', :data, :amendment, 'migration', '', :at)"
                ),
                key | {"entry": entry, "data": data, "amendment": False, "at": account.created_at},
            )
        issued = connection.execute(
            sa.text(
                "SELECT id, status FROM invoices WHERE account_id = :account AND status <> 'draft' "
                "ORDER BY id"
            ),
            key,
        ).all()
        for entry, invoice in enumerate(issued, start=entry + 1):  # noqa: B020 - goes on from the plans
            connection.execute(
                sa.text("UPDATE invoices SET entry = :entry WHERE id = :id"),
                {"entry": entry, "id": invoice.id},
            )
        connection.execute(
            sa.text("UPDATE accounts SET entries = :entry WHERE id = :account"), key | {"entry": entry}
        )


def downgrade() -> None:
    raise RuntimeError("contracts and credits have no place in the older schema; restore a backup")
