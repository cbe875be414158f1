"""Accounts, and what is agreed with them."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from tests.simulator.naive.books import Account, Credit
from tests.simulator.naive.calendar import after, first_of, month_of
from tests.simulator.naive.terms import Contract, Grant, Refusal, Terms, Version
from tests.simulator.scene import Scene

_PRICES = ("0.0025", "0.005", "0.0333", "0.125", "0.01", "0.000625", "0.5", "1.015", "0.033333333333")
_PERCENTS = ("50", "33.3333", "100", "12.5", "0.0001")


def offer(scene: Scene, plan: str, currency: str, since: date) -> None:
    """A version of a plan; prices fall, in odd steps."""
    bounds = sorted(scene.chance.sample(range(1, 60), scene.chance.randint(0, 3)))
    prices = scene.chance.sample(_PRICES, len(bounds) + 1)
    scale = 10 if currency in ("JPY", "ISK") else 1
    held = [Fraction(price) * scale for price in prices]
    if bounds and scene.yes(0.6):
        held[0] = Fraction(0)
    texts = ["0" if not price else _plain(price) for price in held]
    name = f"{scene.number(plan)}"
    brackets = tuple(zip([*bounds, None], held, strict=True))
    version = Version(plan, name, currency, since, brackets)
    table = "".join(
        f"{'beyond' if up_to is None else f'up to {up_to}'}  {price}\n"
        for up_to, price in zip([*bounds, None], texts, strict=True)
    )
    said = {"from": since.isoformat(), "currency": currency, "brackets": table}
    scene.act(
        f"offer plan {version.id}", said, lambda: scene.books.catalogue.versions.update({version.id: version})
    )


def _plain(price: Fraction) -> str:
    places = 0
    while (price * 10**places).denominator != 1:
        places += 1
    digits = str(int(price * 10**places)).rjust(places + 1, "0")
    return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits


def another_version(scene: Scene) -> None:
    known = scene.one(*scene.books.catalogue.versions.values())
    offer(scene, known.plan, known.currency, scene.day())


def join(scene: Scene) -> None:
    if len(scene.books.accounts) >= 4:
        return
    id = "abcd"[len(scene.books.accounts)]
    plan = scene.one(*scene.books.catalogue.versions.values())
    since = scene.one(scene.month, scene.month, after(scene.month), *scene.earlier())
    named = scene.one(plan.plan, plan.id)
    account = Account(id, plan.currency, since, Terms())
    said = {"plan": named, "billed from": since, "currency": plan.currency}
    if scene.yes(0.2):
        charge, until = scene.amount(plan.currency), first_of(after(since, scene.chance.randint(1, 4)))
        said |= {"legacy charge": scene.money(charge, account), "protected until": until.isoformat()}
        account.terms.protect(since, charge, until)
    if scene.yes(0.2):
        account.credits.append(Credit(scene.amount(plan.currency), "opening balance"))
        said["opening credit"] = scene.money(account.credits[0].left, account)

    def do() -> None:
        account.terms.enrol(since, scene.books.catalogue.meant(named, since).id)
        scene.books.accounts[id] = account

    scene.act(f"add account {id}", said, do)


def set_plan(scene: Scene) -> None:
    account, since, amend = scene.account(), scene.near(), scene.yes(0.4)
    good = [each for each in scene.books.catalogue.versions.values() if each.currency == account.currency]
    version = scene.one(*good)
    named = scene.one(version.plan, version.id)

    def do() -> None:
        if account.terms.contract(since) is not None:
            raise Refusal("")
        terms = account.terms.copy()
        terms.enrol(since, scene.books.catalogue.meant(named, since).id)
        scene.books.agree(account, terms, amend=amend)

    scene.act(f"set plan of {account.id}", {"plan": named, "from": since, "amend": _yes(amend)}, do)


def sign(scene: Scene) -> None:
    account, amend = scene.account(), scene.yes(0.4)
    id = f"c{scene.number('contracts')}"
    start = scene.near()
    end = after(start, scene.chance.randint(1, 5))
    good = [each for each in scene.books.catalogue.versions.values() if each.currency == account.currency]
    plan = scene.one(*good)
    grants = [
        _grant(scene, account, first_of(start), first_of(end)) for _ in range(scene.chance.randint(0, 2))
    ]
    services = [
        (
            f"service {n}",
            scene.one(0, scene.amount(account.currency)),
            _within(scene, first_of(start), first_of(end)),
        )
        for n in range(scene.chance.randint(0, 2))
    ]
    schedule = scene.one("upfront", "monthly", "quarterly")

    def do() -> None:
        version = scene.books.catalogue.versions[plan.id]
        if version.effective_from > first_of(start):
            raise Refusal("")
        made = Contract(id, first_of(start), first_of(end), version.id, schedule, grants, services)
        terms = account.terms.copy()
        _not_two(terms, made)
        terms.contracts.append(made)
        scene.books.agree(account, terms, amend=amend)

    said = {
        "account": account.id,
        "term": f"{first_of(start)} to {first_of(end)}",
        "plan": plan.id,
        "currency": account.currency,
        "instalments": schedule,
        "amend": _yes(amend),
        "grants": "".join(
            f"{g.id}  {g.runs}  {scene.money(g.price, account)}  {g.granted_on} to {g.expires_on}\n"
            for g in grants
        ),
        "services": "".join(f"{what}  {scene.money(cost, account)}  {due}\n" for what, cost, due in services),
    }
    scene.act(f"sign contract {id}", said, do)


def _not_two(terms: Terms, made: Contract) -> None:
    if any(
        each.id != made.id and each.start < made.end and made.start < each.end for each in terms.contracts
    ):
        raise Refusal("")


def _within(scene: Scene, start: date, end: date) -> date:
    return start + timedelta(days=scene.chance.randrange((end - start).days))


def _grant(scene: Scene, account: Account, start: date, end: date) -> Grant:
    granted = scene.one(start, _within(scene, start, end))
    expires = scene.one(end, _within(scene, granted, end) + timedelta(days=1))
    price = scene.one(0, scene.amount(account.currency, 5000))
    return Grant(f"g{scene.number('grants')}", scene.chance.randint(1, 90), price, granted, expires)


def _contract(scene: Scene) -> tuple[Account, Contract] | None:
    held = [(account, each) for account in scene.books.accounts.values() for each in account.terms.contracts]
    return scene.one(*held) if held else None


def grant(scene: Scene) -> None:
    """A top-up."""
    found = _contract(scene)
    if found is None:
        return
    (account, contract), amend = found, scene.yes(0.6)
    more = _grant(scene, account, contract.start, contract.end)
    more.price = more.price or scene.amount(account.currency)

    def do() -> None:
        terms = account.terms.copy()
        next(each for each in terms.contracts if each.id == contract.id).grants.append(more)
        scene.books.agree(account, terms, amend=amend)

    said = {
        "id": more.id,
        "runs": f"{more.runs}",
        "price": scene.money(more.price, account),
        "from": more.granted_on.isoformat(),
        "until": more.expires_on.isoformat(),
        "amend": _yes(amend),
    }
    scene.act(f"grant more in {contract.id}", said, do)


def change_contract(scene: Scene) -> None:
    found = _contract(scene)
    if found is None:
        return
    (account, contract), amend = found, scene.yes(0.5)
    said = {"amend": _yes(amend)}
    end = plan = since = None
    extend = False
    if scene.yes(0.6):
        last = max([contract.start, *(each.granted_on for each in contract.grants)])
        ends = [first_of(after(month_of(last), n)) for n in (1, 2, 3, 6)]
        end, extend = scene.one(*(each for each in ends if each != contract.end)), scene.yes(0.5)
        extend = extend and end > contract.end
        said |= {"end": end.isoformat(), "extend grants": _yes(extend)}
    else:
        since = month_of(_within(scene, contract.start, contract.end))
        good = [each for each in scene.books.catalogue.versions.values() if each.currency == account.currency]
        plan = scene.one(*(each.id for each in good))
        said |= {"plan": plan, "from": since}

    def do() -> None:
        if plan is not None and since is not None:
            scene.books.catalogue.meant(plan, since)
        terms = account.terms.copy()
        changed = next(each for each in terms.contracts if each.id == contract.id)
        changed.amend(end, extend, plan, since)
        _not_two(terms, changed)
        scene.books.agree(account, terms, amend=amend)

    scene.act(f"change contract {contract.id}", said, do)


def withdraw(scene: Scene) -> None:
    found = _contract(scene)
    if found is not None:
        id = found[1].id
        scene.act(f"withdraw contract {id}", "recorded by mistake", lambda: scene.books.withdraw(id))


def program(scene: Scene) -> None:
    account, amend = scene.account(), scene.yes(0.4)
    name, percent = scene.one("academia", "nonprofits", "startups"), scene.one(*_PERCENTS)
    start = scene.day()
    end = start + timedelta(days=scene.chance.randint(1, 120))
    said = {"program": name, "percent": percent, "from": start.isoformat(), "until": end.isoformat()}
    founded, raised = scene.today, 0
    if name == "startups":
        third = scene.today.replace(year=scene.today.year - 3)
        founded = third + timedelta(days=scene.one(0, 1, 400, -1))
        raised = scene.one(0, 999_999_999, 1_000_000_000)
        said |= {"founded": founded.isoformat(), "raised": f"{raised // 100:,}.{raised % 100:02d}"}

    def do() -> None:
        if name == "startups" and (founded <= third or raised >= 1_000_000_000):
            raise Refusal("")
        terms = account.terms.copy()
        terms.programs.append((name, Fraction(percent), start, end))
        scene.books.agree(account, terms, amend=amend)

    scene.act(f"program for {account.id}", said | {"amend": _yes(amend)}, do)


def leave_program(scene: Scene) -> None:
    account, amend = scene.account(), scene.yes(0.5)
    if not account.terms.programs:
        return
    name, on = scene.one(*account.terms.programs)[0], scene.day()

    def do() -> None:
        terms = account.terms.copy()
        terms.leave(name, on)
        scene.books.agree(account, terms, amend=amend)

    said = {"on": on.isoformat(), "amend": _yes(amend)}
    scene.act(f"{account.id} leaves program {name}", said, do)


def protect(scene: Scene) -> None:
    account, since, amend = scene.account(), scene.near(), scene.yes(0.4)
    charge, until = (
        scene.amount(account.currency),
        first_of(since) + timedelta(days=scene.chance.randint(1, 150)),
    )

    def do() -> None:
        terms = account.terms.copy()
        terms.protect(since, charge, until)
        scene.books.agree(account, terms, amend=amend)

    said = {
        "charge": scene.money(charge, account),
        "until": until.isoformat(),
        "from": since,
        "amend": _yes(amend),
    }
    scene.act(f"protect {account.id}", said, do)


def refer(scene: Scene) -> None:
    one, other = scene.account(), scene.account()

    def do() -> None:
        above: str | None = one.id
        while above is not None:
            if above == other.id:
                raise Refusal("")
            above = scene.books.accounts[above].referrer
        if other.referrer is not None:
            raise Refusal("")
        other.referrer = one.id

    scene.act(f"{one.id} refers {other.id}", "yes", do)


def close(scene: Scene) -> None:
    account, on = scene.account(), scene.today + timedelta(days=scene.one(0, 10, -20, -40))

    def do() -> None:
        late = [each.month for each in account.usage_invoices() if first_of(each.month) > on]
        if account.closed_on is not None or late:
            raise Refusal("")
        account.closed_on = on

    scene.act(f"close {account.id}", on.isoformat(), do)


def reopen(scene: Scene, account: Account | None = None) -> None:
    account = account or scene.account()

    def do() -> None:
        if account.closed_on is None:
            raise Refusal("")
        account.closed_on = None

    scene.act(f"reopen {account.id}", "yes", do)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
