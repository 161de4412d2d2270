"""What receipts tell about a plan."""

from collections.abc import Iterable
from datetime import datetime

from overture.linkedin.records import Receipt, SuggestedPlan

# In this order: "Sales Navigator ... Business" is no Premium Business. Older names come last.
_PLANS = (
    ("sales navigator", "sales_navigator_core"),
    ("recruiter lite", "recruiter_lite"),
    ("premium career", "premium_career"),
    ("premium business", "premium_business"),
    ("job seeker", "premium_career"),
    ("business plus", "premium_business"),
)


def plan_of(description: str) -> str | None:
    """The name in a policy of the plan that a receipt's description speaks of."""
    words = " ".join(description.casefold().replace("-", " ").split())
    if "refund" in words:
        return None
    return next((plan for part, plan in _PLANS if part in words), None)


def suggestion(receipts: Iterable[Receipt]) -> SuggestedPlan | None:
    """The plan paid for last; the sign-up is the first payment for it. None without payments."""
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    for receipt in receipts:
        if receipt.plan:
            first[receipt.plan] = min(first.get(receipt.plan, receipt.paid_at), receipt.paid_at)
            last[receipt.plan] = max(last.get(receipt.plan, receipt.paid_at), receipt.paid_at)
    if not last:
        return None
    plan = max(last, key=lambda plan: last[plan])
    return SuggestedPlan(plan, first[plan])
