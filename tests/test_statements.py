"""Bank statements: what is read of camt.053 and CSV, exactly; and what is refused, with its line."""

from __future__ import annotations

from io import BytesIO, StringIO

import pytest

from adapters.statements.amounts import StatementError, minor_units
from adapters.statements.camt import CamtStatement
from adapters.statements.csv_file import CsvStatement, read_columns
from ledger.reconciliation.items import Item

ASSETS = {"EUR": "EUR/2", "JPY": "JPY/0", "KWD": "KWD/3"}


def entry(
    amount: str = "100.00",
    direction: str = "CRDT",
    *,
    currency: str = "EUR",
    status: str = "<Sts><Cd>BOOK</Cd></Sts>",
    day: str = "<BookgDt><Dt>2026-01-05</Dt></BookgDt>",
    reference: str = "<AcctSvcrRef>B-1</AcctSvcrRef>",
    details: str = "",
) -> str:
    inner = f"<NtryDtls>{details}</NtryDtls>" if details else ""
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        f"{status}{day}{reference}{inner}</Ntry>\n"
    )


def details(end_to_end: str, amount: str = "", direction: str = "") -> str:
    money = f'<Amt Ccy="EUR">{amount}</Amt>' if amount else ""
    money += f"<CdtDbtInd>{direction}</CdtDbtInd>" if direction else ""
    return f"<TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>{money}</TxDtls>"


def camt(*entries: str, version: str = "08", account: str = "NL91ABNA0417164300", head: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>\n'
        "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-02-01T06:00:00Z</CreDtTm></GrpHdr>\n"
        "<Stmt><Id>S1</Id><FrToDt><FrDtTm>2026-01-01T00:00:00+01:00</FrDtTm>"
        "<ToDtTm>2026-01-31T23:59:59+01:00</ToDtTm></FrToDt>\n"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>EUR</Ccy></Acct>\n"
        '<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">5.00</Amt></Bal>\n'
        f"{''.join(entries)}</Stmt></BkToCstmrStmt></Document>\n"
    )


def read(text: str, account: str = "") -> list[Item]:
    return list(CamtStatement(BytesIO(text.encode()), ASSETS, account))


@pytest.mark.parametrize("version", ["02", "08", "13"])
def test_a_statement_is_read_in_every_version(version: str) -> None:
    """Signs by direction alone, days and references as they stand; a status as text or as a code."""
    status = "<Sts>PDNG</Sts>" if version == "02" else "<Sts><Cd>PDNG</Cd></Sts>"
    moment = "<BookgDt><DtTm>2026-01-07T23:30:00-05:00</DtTm></BookgDt>"
    text = camt(
        entry(details=details("INV-7")),
        entry("12.3", "DBIT", status=status, day=moment, reference="<NtryRef>9</NtryRef>"),
        entry("1000", currency="JPY", reference="", details=details("NOTPROVIDED")),
        entry("1.234", currency="KWD", reference="<RvslInd>true</RvslInd>"),
        entry("7", status="<Sts><Cd>INFO</Cd></Sts>"),
        version=version,
    )
    statement = CamtStatement(BytesIO(text.encode()), ASSETS)
    assert list(statement) == [
        Item("2026-01-05", "B-1", "INV-7", 10_000, "EUR/2", "posted"),
        Item("2026-01-07", "9", "9", -1_230, "EUR/2", "pending"),
        Item("2026-01-05", "entry 3", "", 1_000, "JPY/0", "posted"),
        Item("2026-01-05", "entry 4", "", 1_234, "KWD/3", "posted"),
    ]
    assert (statement.first_day, statement.last_day) == ("2026-01-01", "2026-01-31")
    assert statement.accounts == {"NL91ABNA0417164300"}


def test_a_batch_is_read_by_its_transactions() -> None:
    """When each has its amount and they add up to the entry; else the entry stands as one."""
    parts = details("A", "70.00") + details("B", "40.00") + details("C", "10.00", "DBIT")
    assert read(camt(entry(details=parts))) == [
        Item("2026-01-05", "B-1/1", "A", 7_000, "EUR/2", "posted"),
        Item("2026-01-05", "B-1/2", "B", 4_000, "EUR/2", "posted"),
        Item("2026-01-05", "B-1/3", "C", -1_000, "EUR/2", "posted"),
    ]
    whole = [Item("2026-01-05", "B-1", "", 10_000, "EUR/2", "posted")]
    assert read(camt(entry(details=details("A", "70.00") + details("B", "40.00")))) == whole
    assert read(camt(entry(details=details("A") + details("B")))) == whole


def test_one_account_of_a_file_is_read() -> None:
    """A file with several accounts needs a choice, which must be in it."""
    first = camt(entry("1")).replace("</BkToCstmrStmt></Document>\n", "")
    second = camt(entry("2"), account="DE89370400440532013000")
    text = first + second[second.index("<Stmt>") :]
    assert [item.amount for item in read(text, "DE89 3704 0044 0532 0130 00")] == [200]
    with pytest.raises(StatementError, match="several accounts: DE89370400440532013000, NL91"):
        read(text)
    with pytest.raises(StatementError, match="no account GB1: DE89"):
        read(text, "GB1")


_ENTITIES = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
LAUGHS = f"<!DOCTYPE d [<!ENTITY a0 'ha'>{_ENTITIES}]>\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (camt(entry("&a9;"), head=LAUGHS), "line 2: a document type or entity has no place"),
        (
            camt(entry("&x;"), head='<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'),
            "line 2: a document type",
        ),
        (camt(head='<!DOCTYPE d SYSTEM "http://example.org/d.dtd">\n'), "line 2: a document type"),
        (camt(entry("&x;")), "line 7: this is not XML: undefined entity"),
        (camt(entry(), entry("1.005")), "`Ntry` of line 8: '1.005' has more decimals than EUR/2"),
        (camt(entry("1", currency="XXX")), "`Ntry` of line 7: the ledger has no asset of the currency 'XXX'"),
        (camt(entry("one")), "'one' is not a decimal number"),
        (camt(entry("-1")), "`Amt` is below zero"),
        (camt(entry("9" * 20)), "is too large"),
        (camt(entry(direction="IN")), "`CdtDbtInd` 'IN' is neither CRDT nor DBIT"),
        (camt(entry(day="")), "`BookgDt/Dt` is missing"),
        (camt(entry(day="<BookgDt><Dt>2026-02-30</Dt></BookgDt>")), "`Ntry` of line 7: "),
        (camt(entry(day="<BookgDt><Dt>9999-12-31</Dt></BookgDt>")), "the year 9999 is not between"),
        (camt(entry(status="<Sts><Cd>NO</Cd></Sts>")), "`Sts` 'NO' is none of"),
        (camt(entry(details="<a>" * 60 + "</a>" * 60)), "line 7: `a` is nested too deeply"),
        (camt(entry(details="<a/>" * 200_001)), "`Ntry` of line 7 is too large"),
        (camt(entry())[:-30], "this is not XML"),
        ("<Document/>", "line 1: `Document` of no namespace is no camt.053 `Document`"),
        ("", "line 1: this is not XML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, said: str) -> None:
    """Hostile XML before any of it is expanded; amounts that are not exact; elements that are missing."""
    with pytest.raises(StatementError) as refused:
        read(text)
    assert said in str(refused.value)


COLUMNS = """
delimiter = ";"
decimal = ","
currency = "EUR"
date = { column = "day", format = "%d.%m.%Y" }
amount = "sum"
reference = "ref"
"""
SPLIT = """
currency = { column = "cur" }
date = { column = "day" }
credit = "in"
debit = "out"
id = "no"
"""


def rows(columns: str, text: str) -> list[Item]:
    return list(CsvStatement(StringIO(text, newline=""), read_columns(columns), ASSETS))


def test_csv_is_read_by_its_mapping() -> None:
    """Signed amounts or two columns, the bank's decimals and dates, lines by their number or id."""
    assert rows(COLUMNS, "day;sum;ref\n05.01.2026;1.234,50; INV  7 \n06.01.2026;-0,5;\n") == [
        Item("2026-01-05", "line 2", "INV 7", 123_450, "EUR/2", "posted"),
        Item("2026-01-06", "line 3", "", -50, "EUR/2", "posted"),
    ]
    text = 'no,day,cur,in,out\nA,2026-01-05,JPY,"1,000",\nB,2026-01-05,KWD,,0.005\n'
    assert rows(SPLIT, text) == [
        Item("2026-01-05", "A", "", 1_000, "JPY/0", "posted"),
        Item("2026-01-05", "B", "", -5, "KWD/3", "posted"),
    ]


@pytest.mark.parametrize(
    ("columns", "text", "said"),
    [
        (COLUMNS, "day;ref\n", "line 1: no column sum"),
        (COLUMNS, "day;sum;ref\n05.01.2026;1,005;\n", "line 2: column sum: '1,005' is no amount of EUR/2"),
        (COLUMNS, "day;sum;ref\n2026-01-05;1;\n", "line 2: column day: '2026-01-05' is not %d.%m.%Y"),
        (COLUMNS, "day;sum;ref\n05.01.9999;1;\n", "line 2: the year 9999 is not between"),
        (COLUMNS, "day;sum;ref\n05.01.2026;1\n", "line 2: it has not as many fields"),
        (COLUMNS, "day;sum;ref\n05.01.2026;1;a;b\n", "line 2: it has not as many fields"),
        (SPLIT, "no,day,cur,in,out\nA,2026-01-05,JPY,1,1\n", "either in or out has an amount"),
        (SPLIT, "no,day,cur,in,out\nA,2026-01-05,GBP,1,\n", "no asset of the currency 'GBP'"),
        (COLUMNS, 'day;sum;ref\n05.01.2026;1;"a\n', "unexpected end of data"),
        (COLUMNS, "day;sum;ref\n" + "x" * 200_000, "longer than 100,000 characters"),
        ("amount = 1", "", "the mapping: "),
        (COLUMNS + 'credit = "x"\ndebit = "y"', "", "either `amount` or both"),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(columns: str, text: str, said: str) -> None:
    """Nothing is guessed, rounded or skipped."""
    with pytest.raises(StatementError) as refused:
        rows(columns, text)
    assert said in str(refused.value)


def test_amounts_are_exact() -> None:
    """To the last minor unit of 64 bits, and not beyond."""
    assert minor_units("92233720368547758.07", "EUR/2") == 2**63 - 1
    assert minor_units("1.500", "EUR/2") == 150
    with pytest.raises(ValueError, match="too large"):
        minor_units("92233720368547758.08", "EUR/2")
