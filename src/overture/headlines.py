"""What happened in one line, and the page that shows more: as mails begin, and as devices tell it."""

from datetime import datetime
from typing import assert_never

from overture.actions.notifying import (
    Alert,
    Answer,
    Connection,
    Expiry,
    Grant,
    Invitation,
    Letter,
    Messages,
    News,
    Plan,
    Returned,
)
from overture.actions.subscriptions import Status
from overture.core.conversations import Response
from overture.core.policy import Policy
from overture.store.notifying import Other
from overture.words import Words


def headline(news: News, words: Words, policy: Policy, now: datetime) -> str:
    """Names who it is from, and says nothing of what they wrote."""
    _ = words.gettext
    match news:
        case Letter() | Answer() | Messages() as told:
            return _of_conversation(told, words)
        case Returned():
            return _("A credit is back")
        case Grant():
            sentence = words.ngettext(
                "%(num)s new credit of %(plan)s", "%(num)s new credits of %(plan)s", news.credits
            )
            plan = plan_title(news.purse.plan, words, policy)
            return sentence % {"num": words.number(news.credits), "plan": plan}
        case Expiry():
            sentence = words.ngettext(
                "%(num)s credit expires in %(left)s",
                "%(num)s credits expire in %(left)s",
                news.credits,
            )
            left = words.days(news.expires_at - now)
            return sentence % {"num": words.number(news.credits), "left": left}
        case Plan():
            return _of_plan(news, words, policy)
        case Invitation():
            return _("%(name)s wants to connect with you") % {"name": called(news.other, words)}
        case Connection():
            return _("%(name)s accepted your invitation") % {"name": called(news.other, words)}
        case Alert():
            return _of_safety(news, words)
        case _:
            assert_never(news)


_WAYS_IN = (
    "account.passkey_added",
    "account.code_app_added",
    "account.recovery_codes_made",
    "account.identity_linked",
)


def path(news: News) -> str:
    """The page that shows more of it."""
    match news:
        case Letter() | Answer() | Messages() as told:
            return f"/inbox/{told.thread.id}"
        case Returned() | Grant() | Expiry() as told:
            return f"/premium?pool={told.purse.pool}"
        case Plan():
            return "/premium" if news.view is None else f"/premium?pool={news.view.pool}"
        case Invitation() | Connection():
            return "/network"
        case Alert():
            # A new password leaves these ways in open.
            if news.what in _WAYS_IN:
                return "/settings/security"
            return "/settings/sessions"
        case _:
            assert_never(news)


def called(other: Other, words: Words) -> str:
    return other.name or words.gettext("Member who left")


def plan_title(plan: str, words: Words, policy: Policy) -> str:
    known = policy.plans.get(plan)
    return plan if known is None else words.say(known.title)


def _of_conversation(news: Letter | Answer | Messages, words: Words) -> str:
    _ = words.gettext
    who = {"name": called(news.thread.other, words)}
    match news:
        case Letter() if news.again:
            return _("%(name)s still waits for your answer") % who
        case Letter():
            return _("%(name)s wrote you an InMail") % who
        case Answer() if news.response is Response.ACCEPTED:
            return _("%(name)s accepted") % who
        case Answer():
            return _("%(name)s declined") % who
        case Messages():
            return _("%(name)s wrote to you") % who


def _of_plan(news: Plan, words: Words, policy: Policy) -> str:
    _ = words.gettext
    view = news.view
    names = {"plan": plan_title(news.plan, words, policy)}
    if view is None:
        return _("Your plan %(plan)s has ended") % names
    match view.status:
        case Status.CANCELING:
            assert view.ends_at is not None, "what is canceled ends one day"
            names["day"] = words.long_date(view.ends_at)
            return _("Your plan %(plan)s ends on %(day)s") % names
        case Status.CHANGING:
            assert view.next_plan is not None, "what changes has a next plan"
            assert view.renews_at is not None, "what changes does so when it renews"
            names["day"] = words.long_date(view.renews_at)
            names["next"] = plan_title(view.next_plan, words, policy)
            return _("Your plan changes to %(next)s on %(day)s") % names
        case _ if news.began:
            return _("You have %(plan)s") % names
        case _:
            return _("You keep %(plan)s") % names


def _of_safety(news: Alert, words: Words) -> str:
    _ = words.gettext
    match news.what:
        case "account.signed_in":
            return _("A new sign-in to your account")
        case "account.password_changed":
            return _("Your password was changed")
        case "account.passkey_added":
            return _("A passkey was added to your account")
        case "account.identity_linked":
            return _("Another way to sign in to your account")
        case "account.two_steps_on":
            return _("Signing in takes two steps now")
        case "account.two_steps_off":
            return _("Signing in takes one step again")
        case "account.code_app_added":
            return _("Another app makes your codes")
        case "account.recovery_codes_made":
            return _("New recovery codes were made")
        case "account.second_step_failed":
            return _("Wrong codes were given for your account")
        case _:
            return _("A recovery code was used")
