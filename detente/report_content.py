"""What a stored report says, ready for each route: the relay asks when it sends one."""

from notifiers.report import render
from notifiers.report_message import RenderedReport, ReportName, Reports
from schemas.report import Report
from streams.store import Store


def stored_reports(store: Store) -> Reports:
    """The newest issue of a report by its name; of a scorecard the key is `2026-11/partner`."""

    def find(name: ReportName) -> RenderedReport | None:
        period, _, about = name.key.partition("/")
        with store.reading() as tx:
            issued = tx.issued_report(name.kind, period, about)
        if issued is None:
            return None
        return render(Report.model_validate_json(issued.document))

    return find
