"""What must be loaded to decide about programmes and vouchers."""

from __future__ import annotations

from ledger.commands import Command
from ledger.product import Needs
from ledger.reconciliation.streams import REPORTS, REPORTS_STREAM, next_report, page_stream
from ledger.state import State
from ledger.vouchers import accounts as a
from ledger.vouchers import commands as c
from ledger.vouchers.beneficiaries import stream_of
from ledger.vouchers.streams import Voucher


def needs(state: State, command: Command) -> Needs:
    """Streams and accounts; a code leads to its voucher, a voucher to its programme's accounts."""
    body, subject = command.body, str(command.subject)
    match body:
        case c.BeneficiaryRegistration() | c.BeneficiaryErasure():
            return Needs([f"beneficiary:{subject}"])
        case c.ProgrammeOpening():
            return Needs([f"programme:{body.programme}"])
        case c.Funding() | c.Return():
            return Needs([f"programme:{subject}"], [a.trust(subject), a.fund(subject)])
        case c.Fee() | c.FeePayment():
            bank = a.cost(subject) if isinstance(body, c.Fee) else a.operating(subject)
            return Needs([f"programme:{subject}"], [bank, a.fees(subject, body.payee)])
        case c.Settlement():
            owed = [a.payable(subject, p.payee_type, p.payee) for p in body.payees]
            return Needs([f"programme:{subject}"], [a.trust(subject), *owed])
        case c.Issue():
            streams = [f"programme:{body.programme}", f"voucher:{body.voucher}", f"code:{body.code_hash}"]
            streams.append(stream_of(body.beneficiary))
            return Needs(streams, [a.fund(body.programme), a.outstanding(body.programme)])
        case c.Redemption():
            name = f"voucher:{subject}" if subject else _of_code(state, body.code_hash)
            streams = [f"code:{body.code_hash}"] if body.code_hash else []
            return _voucher(state, name, streams + _reports(state, body), body)
        case c.Reissue():
            streams = [f"voucher:{body.replacement}", f"code:{body.code_hash}"]
            old = state.streams.get(f"voucher:{subject}")
            if old is not None:
                streams.append(stream_of(old.state.beneficiary))
            return _voucher(state, f"voucher:{subject}", streams, None)
        case c.OfVoucher():
            return _voucher(state, f"voucher:{subject}", _reports(state, body), None)
        case _:
            return _voucher(state, subject, [], None)


def _reports(state: State, body: c.OfVoucher) -> list[str]:
    """What a report becomes an item of, if it contradicts the voucher."""
    if not body.reported:
        return []
    if REPORTS_STREAM not in state.streams:
        return [REPORTS_STREAM]
    return [REPORTS_STREAM, page_stream(REPORTS, next_report(state.streams[REPORTS_STREAM]))]


def _of_code(state: State, code_hash: str | None) -> str:
    code = state.streams.get(f"code:{code_hash}")
    return f"voucher:{code.state.voucher}" if code is not None else ""


def _voucher(state: State, name: str, streams: list[str], redemption: c.Redemption | None) -> Needs:
    if not name:
        return Needs(streams)
    found = state.streams.get(name)
    voucher: Voucher | None = None if found is None else found.state
    if voucher is None:
        return Needs([name, *streams])
    accounts = [a.fund(voucher.programme), a.outstanding(voucher.programme)]
    if redemption is not None:
        accounts.append(a.payable(voucher.programme, redemption.payee_type, redemption.payee))
    return Needs([name, f"programme:{voucher.programme}", *streams], accounts)
