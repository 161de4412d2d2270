"""Who may write to whom: each no beside the yes that differs only in its cause, in the rules' order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from overture.actions.subscriptions import CancelAt
from overture.core.contact import Contact, RemedyKind
from overture.core.conversations import Channel, State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Answer, Done, Refused, Respond, Start, Withdraw, Write
from tests.cast import SIGN_UP, policy
from tests.worlds import Memory, id_maker

SECOND = timedelta(seconds=1)
LINKEDIN = policy("linkedin-premium")


@dataclass
class Person:
    """A member of the test's world, and what they do in it."""

    world: Memory
    id: MemberId
    ids: object

    def chooses(self, plan: str) -> None:
        pool = self.world.book.at(self.world.now).plans[plan].pool
        assert not isinstance(self.world.choose(self.id, pool, plan), Refusal)

    def may_write_to(self, other: Person, pool: str | None = None) -> Contact:
        return self.world.preview(self.id, other.id, pool)

    def sends(
        self, other: Person, pool: str | None = None, most: int | None = None
    ) -> ConversationId | Refusal:
        start = Start(
            self.id,
            other.id,
            ConversationId(next(self.ids)),
            MessageId(next(self.ids)),
            "Hello",
            pool=pool,
            max_credits=most,
        )
        answer = self.world.act(start)
        return answer.code if isinstance(answer, Refused) else answer.conversation.id

    def writes_in(self, conversation: ConversationId | Refusal) -> Answer:
        assert not isinstance(conversation, Refusal)
        return self.world.act(Write(self.id, conversation, MessageId(next(self.ids)), "And then"))

    def answers(
        self, conversation: ConversationId | Refusal, outcome: Outcome, *, block: bool = False
    ) -> Answer:
        assert not isinstance(conversation, Refusal)
        return self.world.act(Respond(self.id, conversation, outcome, block=block))

    def declines(self, conversation: ConversationId | Refusal) -> Answer:
        return self.answers(conversation, Outcome.DECLINED)

    def accepts(self, conversation: ConversationId | Refusal) -> Answer:
        return self.answers(conversation, Outcome.ACCEPTED)

    def withdraws(self, conversation: ConversationId | Refusal) -> Answer:
        assert not isinstance(conversation, Refusal)
        return self.world.act(Withdraw(self.id, conversation))

    def prefers(self, *, accept_inmail: bool = True, open_profile: bool = False) -> None:
        self.world.prefer(self.id, accept_inmail=accept_inmail, open_profile=open_profile)

    def blocks(self, other: Person) -> None:
        self.world.block(self.id, other.id)


@dataclass
class Village:
    """Ada and Grace, both with Premium Career; and whoever else a test needs."""

    book: PolicyBook = field(default_factory=lambda: policy("seed"))
    world: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.world = Memory(self.book, SIGN_UP)
        self._ids = id_maker()
        self.ada = self.person("ada", "premium_career")
        self.grace = self.person("grace", "premium_career")

    def person(self, handle: str, plan: str | None = None) -> Person:
        made = Person(self.world, MemberId(next(self._ids)), self._ids)
        self.world.join(made.id, handle)
        if plan is not None:
            made.chooses(plan)
        return made

    def pass_by(self, **duration: float) -> None:
        self.world.now += timedelta(**duration)

    def connect(self, one: Person, other: Person) -> None:
        self.world.connect(one.id, other.id)

    def part(self, one: Person, other: Person) -> None:
        self.world.disconnect(one.id, other.id)


@pytest.fixture
def village() -> Village:
    return Village()


def paid(contact: Contact) -> bool:
    return contact.allowed and contact.channel is Channel.INMAIL and contact.credits == 1


def test_a_letter_to_a_stranger_costs_one_credit(village: Village) -> None:
    told = village.ada.may_write_to(village.grace)
    assert (told.code, told.channel, told.credits, told.pool, told.balance) == (
        None,
        "inmail",
        1,
        "premium",
        5,
    )


# 1. Nobody ---------------------------------------------------------------------------------------


def test_1_nobody_writes_to_themselves_or_to_nobody(village: Village) -> None:
    ada, grace = village.ada, village.grace
    assert ada.may_write_to(ada).code is Refusal.NO_SUCH_MEMBER
    nobody = Person(village.world, MemberId("nobody"), None)
    assert ada.may_write_to(nobody).code is Refusal.NO_SUCH_MEMBER
    assert ada.may_write_to(grace).allowed


# 2. Blocked by the sender ------------------------------------------------------------------------


def test_2_who_was_blocked_is_not_written_to_until_unblocked(village: Village) -> None:
    ada, grace = village.ada, village.grace
    village.connect(ada, grace)
    ada.blocks(grace)
    told = ada.may_write_to(grace)
    assert told.code is Refusal.YOU_BLOCKED
    assert told.remedy is not None
    assert told.remedy.kind is RemedyKind.UNBLOCK

    village.world.unblock(ada.id, grace.id)
    assert ada.may_write_to(grace).allowed


# 3. The other's pending InMail -------------------------------------------------------------------


def test_3_writing_to_who_waits_is_the_response_and_free(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    told = grace.may_write_to(ada)
    assert (told.code, told.channel, told.credits) == (None, "message", 0)

    assert grace.sends(ada) == inmail
    assert village.world.conversations[inmail].state is State.ACCEPTED
    assert village.world.accounts[ada.id]["premium"].balance == 5


def test_3_a_recipient_who_lost_premium_or_opted_out_may_still_answer(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    village.world.cancel(grace.id, "premium", CancelAt.NOW)
    grace.prefers(accept_inmail=False)
    assert grace.sends(ada) == inmail


def test_3_blocked_by_who_waits_there_is_no_answering(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    ada.blocks(grace)
    assert grace.may_write_to(ada).code is Refusal.RECIPIENT_UNAVAILABLE
    answer = grace.writes_in(inmail)
    assert isinstance(answer, Refused)
    assert answer.code is Refusal.RECIPIENT_UNAVAILABLE


# 4. An open conversation -------------------------------------------------------------------------


def test_4_connections_write_freely_in_one_direct_conversation(village: Village) -> None:
    ada, grace = village.ada, village.grace
    village.connect(ada, grace)
    direct = ada.sends(grace)
    assert grace.sends(ada) == direct
    assert village.world.conversations[direct].state is State.OPEN

    village.part(ada, grace)
    assert paid(ada.may_write_to(grace))
    answer = ada.writes_in(direct)
    assert isinstance(answer, Refused)
    assert answer.code is Refusal.CONVERSATION_CLOSED


def test_4_the_conversation_that_was_active_last_goes_on(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    grace.accepts(inmail)
    village.pass_by(days=1)
    village.connect(ada, grace)
    assert ada.sends(grace) == inmail
    assert grace.sends(ada) == inmail


def test_4_an_accepted_inmail_is_open_to_both_also_without_premium(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    grace.accepts(inmail)
    for person in (ada, grace):
        village.world.cancel(person.id, "premium", CancelAt.NOW)
    assert ada.sends(grace) == inmail
    assert grace.sends(ada) == inmail


def test_4_connecting_while_pending_makes_writing_free_and_is_no_response(
    village: Village,
) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    village.connect(ada, grace)
    assert ada.sends(grace) == inmail
    assert village.world.conversations[inmail].state is State.PENDING
    assert village.world.accounts[ada.id]["premium"].balance == 4

    village.part(ada, grace)
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL


# 5. An earlier InMail ----------------------------------------------------------------------------


def test_5_a_pending_inmail_shuts_the_door_however_old(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL
    ada.chooses("recruiter_lite")
    assert ada.may_write_to(grace, "recruiter").code is Refusal.PENDING_INMAIL
    village.pass_by(days=800)
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL
    answer = ada.writes_in(inmail)
    assert isinstance(answer, Refused)
    assert answer.code is Refusal.PENDING_INMAIL

    grace.declines(inmail)
    assert paid(ada.may_write_to(grace))


def test_5_a_free_inmail_that_is_pending_shuts_it_as_well(village: Village) -> None:
    village.grace.prefers(open_profile=True)
    village.ada.sends(village.grace)
    assert village.ada.may_write_to(village.grace).code is Refusal.PENDING_INMAIL


def test_5_a_withdrawn_inmail_shuts_it_until_the_other_writes(village: Village) -> None:
    ada, grace = village.ada, village.grace
    ada.withdraws(ada.sends(grace))
    village.pass_by(days=100)
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL

    letter = grace.sends(ada)
    ada.declines(letter)
    assert paid(ada.may_write_to(grace))


def test_5_what_the_other_wrote_before_the_withdrawal_does_not_open_it(village: Village) -> None:
    ada, grace = village.ada, village.grace
    ada.declines(grace.sends(ada))
    village.pass_by(days=1)
    inmail = ada.sends(grace)
    village.pass_by(days=1)
    ada.withdraws(inmail)
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL


def test_5_of_what_happens_at_one_instant_the_order_counts(village: Village) -> None:
    ada, grace = village.ada, village.grace
    ada.declines(grace.sends(ada))
    ada.withdraws(ada.sends(grace))
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL

    ada.declines(grace.sends(ada))
    assert paid(ada.may_write_to(grace))

    ada.withdraws(ada.sends(grace))
    assert ada.may_write_to(grace).code is Refusal.PENDING_INMAIL
    ada.declines(grace.sends(ada))
    assert paid(ada.may_write_to(grace))


def test_5_where_declines_do_not_unlock_a_decline_shuts_it(village: Village) -> None:
    strict = PolicyBook((replace(village.book.versions[0], decline_unlocks=False),))
    for book, expected in ((village.book, None), (strict, Refusal.PENDING_INMAIL)):
        here = Village(book)
        here.grace.declines(here.ada.sends(here.grace))
        assert here.ada.may_write_to(here.grace).code is expected


def test_5_where_follow_ups_are_allowed_each_costs_a_credit() -> None:
    here = Village(LINKEDIN)
    ada, grace = here.ada, here.grace
    inmail = ada.sends(grace)
    assert ada.sends(grace) == inmail
    answer = ada.writes_in(inmail)
    assert isinstance(answer, Done)
    assert answer.charge is not None
    assert (answer.charge.credits, answer.charge.balance) == (1, 2)

    grace.accepts(inmail)
    assert here.world.accounts[ada.id]["premium"].balance == 5


# 6. A recipient who cannot be reached ------------------------------------------------------------


@pytest.mark.parametrize("cause", ["preference", "block", "closed"])
def test_6_three_causes_that_cannot_be_told_apart(village: Village, cause: str) -> None:
    ada, grace = village.ada, village.grace
    assert ada.may_write_to(grace).allowed
    match cause:
        case "preference":
            grace.prefers(accept_inmail=False)
        case "block":
            grace.blocks(ada)
        case _:
            village.world.close(grace.id)

    told = ada.may_write_to(grace)
    assert told.code is Refusal.RECIPIENT_UNAVAILABLE
    assert replace(told, remedy=None) == Contact(Refusal.RECIPIENT_UNAVAILABLE)


def test_6_an_open_profile_does_not_reach_past_the_preference(village: Village) -> None:
    village.grace.prefers(accept_inmail=False, open_profile=True)
    assert village.ada.may_write_to(village.grace).code is Refusal.RECIPIENT_UNAVAILABLE


def test_6_a_block_closes_an_open_conversation_to_the_one_who_is_blocked(
    village: Village,
) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    grace.accepts(inmail)
    grace.blocks(ada)
    answer = ada.writes_in(inmail)
    assert isinstance(answer, Refused)
    assert answer.code is Refusal.RECIPIENT_UNAVAILABLE
    assert ada.may_write_to(grace).code is Refusal.RECIPIENT_UNAVAILABLE


def test_6_declining_for_good_blocks(village: Village) -> None:
    ada, grace = village.ada, village.grace
    grace.answers(ada.sends(grace), Outcome.DECLINED, block=True)
    assert ada.may_write_to(grace).code is Refusal.RECIPIENT_UNAVAILABLE


# 7. Open Profile ---------------------------------------------------------------------------------


def test_7_an_open_profile_is_free_for_anyone(village: Village) -> None:
    basic = village.person("basic")
    village.grace.prefers(open_profile=True)
    told = basic.may_write_to(village.grace)
    assert (told.code, told.channel, told.credits) == (None, "open_profile", 0)
    inmail = basic.sends(village.grace)
    assert village.world.conversations[inmail].state is State.PENDING


def test_7_without_premium_an_open_profile_has_no_effect(village: Village) -> None:
    basic = village.person("basic")
    basic.prefers(open_profile=True)
    assert village.ada.may_write_to(basic).code is Refusal.RECIPIENT_NOT_PREMIUM
    basic.chooses("premium_career")
    assert village.ada.may_write_to(basic).channel is Channel.OPEN_PROFILE


def test_7_twenty_five_a_day_and_never_a_paid_one_instead(village: Village) -> None:
    ada = village.ada
    for number in range(25):
        open_one = village.person(f"open-{number}", "premium_career")
        open_one.prefers(open_profile=True)
        assert not isinstance(ada.sends(open_one), Refusal)
        village.pass_by(minutes=1)
    village.grace.prefers(open_profile=True)

    told = ada.may_write_to(village.grace)
    assert (told.code, told.channel) == (Refusal.OPEN_PROFILE_LIMIT, "open_profile")
    assert told.remedy is not None
    assert told.remedy.at == SIGN_UP + timedelta(hours=24)
    assert ada.sends(village.grace) is Refusal.OPEN_PROFILE_LIMIT

    village.world.now = told.remedy.at - SECOND
    assert ada.sends(village.grace) is Refusal.OPEN_PROFILE_LIMIT
    village.world.now = told.remedy.at
    assert not isinstance(ada.sends(village.grace), Refusal)


def test_7_where_no_free_letters_are_allowed_waiting_does_not_help() -> None:
    seed = policy("seed").versions[0]
    none = replace(seed, holds_from=SIGN_UP + timedelta(hours=1), open_profile_daily=0)
    here = Village(PolicyBook((seed, none)))
    for person in (here.ada, here.grace):
        person.prefers(open_profile=True)
    basic = here.person("basic")
    assert not isinstance(basic.sends(here.ada), Refusal)

    here.pass_by(hours=1)
    told = basic.may_write_to(here.grace)
    assert told.code is Refusal.OPEN_PROFILE_LIMIT
    assert told.remedy is not None
    assert told.remedy.kind is RemedyKind.NONE


# 8. A recipient without Premium ------------------------------------------------------------------


def test_8_only_premium_members_receive_inmail(village: Village) -> None:
    basic = village.person("basic")
    assert village.ada.may_write_to(basic).code is Refusal.RECIPIENT_NOT_PREMIUM
    basic.chooses("sales_navigator_core")
    assert paid(village.ada.may_write_to(basic))


def test_8_premium_ends_at_the_very_instant_of_its_end(village: Village) -> None:
    village.world.cancel(village.grace.id, "premium", CancelAt.PERIOD_END)
    end = datetime(2025, 2, 28, 10, tzinfo=UTC)
    village.world.now = end - SECOND
    assert paid(village.ada.may_write_to(village.grace))
    village.world.now = end
    assert village.ada.may_write_to(village.grace).code is Refusal.RECIPIENT_NOT_PREMIUM


def test_8_another_policy_lets_anyone_receive() -> None:
    here = Village(LINKEDIN)
    assert paid(here.ada.may_write_to(here.person("basic")))


# 9. A sender without a plan ----------------------------------------------------------------------


def test_9_a_basic_member_needs_a_plan(village: Village) -> None:
    basic = village.person("basic")
    told = basic.may_write_to(village.grace)
    assert told.code is Refusal.NOT_PREMIUM
    assert told.remedy is not None
    assert told.remedy.kind is RemedyKind.PLANS
    assert told.remedy.plans == tuple(village.book.at(SIGN_UP).plans)

    basic.chooses("premium_career")
    assert paid(basic.may_write_to(village.grace))


def test_9_the_named_pool_pays_or_nobody(village: Village) -> None:
    ada, grace = village.ada, village.grace
    told = ada.may_write_to(grace, "recruiter")
    assert (told.code, told.pool) == (Refusal.NOT_PREMIUM, "recruiter")
    assert told.remedy is not None
    assert told.remedy.plans == ("recruiter_lite",)
    ada.chooses("recruiter_lite")
    assert ada.may_write_to(grace, "recruiter").pool == "recruiter"


def test_9_without_a_name_the_first_subscription_of_the_policy_s_order_pays(
    village: Village,
) -> None:
    ada = village.person("augusta", "recruiter_lite")
    assert ada.may_write_to(village.grace).pool == "recruiter"
    ada.chooses("premium_career")
    assert ada.may_write_to(village.grace).pool == "premium"


# 10. No credits ----------------------------------------------------------------------------------


def spend_all(village: Village, person: Person) -> None:
    for number in range(5):
        someone = village.person(f"someone-{number}", "premium_career")
        assert not isinstance(person.sends(someone), Refusal)


def test_10_without_credits_the_next_grant_is_the_remedy(village: Village) -> None:
    ada = village.ada
    spend_all(village, ada)
    ada.chooses("recruiter_lite")
    told = ada.may_write_to(village.grace)
    assert (told.code, told.pool, told.balance) == (Refusal.NO_CREDITS, "premium", 0)
    assert told.remedy is not None
    assert told.remedy.at == datetime(2025, 2, 28, 10, tzinfo=UTC)
    assert paid(ada.may_write_to(village.grace, "recruiter"))

    village.world.now = told.remedy.at
    assert paid(ada.may_write_to(village.grace))


def test_10_where_no_grant_is_to_come_there_is_no_remedy(village: Village) -> None:
    spend_all(village, village.ada)
    village.world.cancel(village.ada.id, "premium", CancelAt.PERIOD_END)
    told = village.ada.may_write_to(village.grace)
    assert told.remedy is not None
    assert told.remedy.kind is RemedyKind.NONE


# 11. The price -----------------------------------------------------------------------------------


def test_11_the_caller_names_the_most_that_they_would_pay(village: Village) -> None:
    assert village.ada.sends(village.grace, most=0) is Refusal.PRICE_EXCEEDS_MAX
    assert not isinstance(village.ada.sends(village.grace, most=1), Refusal)


def test_11_what_is_free_is_within_every_price(village: Village) -> None:
    village.grace.prefers(open_profile=True)
    assert not isinstance(village.ada.sends(village.grace, most=0), Refusal)


# The order ---------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_gives_the_answer(village: Village) -> None:
    """All causes of a no at once; each that is taken away shows the next."""
    basic, ada = village.person("basic"), village.person("augusta", "premium_career")
    spend_all(village, ada)
    ada.blocks(basic)
    basic.blocks(ada)
    basic.prefers(accept_inmail=False)

    seen = [ada.may_write_to(basic).code]
    village.world.unblock(ada.id, basic.id)
    seen.append(ada.may_write_to(basic).code)
    village.world.unblock(basic.id, ada.id)
    seen.append(ada.may_write_to(basic).code)
    basic.prefers()
    seen.append(ada.may_write_to(basic).code)
    basic.chooses("premium_career")
    seen.append(ada.may_write_to(basic, "recruiter").code)
    seen.append(ada.may_write_to(basic).code)
    ada.chooses("recruiter_lite")
    seen.append(ada.may_write_to(basic, "recruiter").code)

    assert seen == [
        "you_blocked",
        "recipient_unavailable",
        "recipient_unavailable",
        "recipient_not_premium",
        "not_premium",
        "no_credits",
        None,
    ]


# The life of an InMail ---------------------------------------------------------------------------


def test_the_same_response_again_changes_nothing_and_a_contrary_one_is_refused(
    village: Village,
) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    first, again, contrary = grace.accepts(inmail), grace.accepts(inmail), grace.declines(inmail)
    assert isinstance(first, Done)
    assert first.changed
    assert isinstance(again, Done)
    assert not again.changed
    assert isinstance(contrary, Refused)
    assert contrary.code is Refusal.ALREADY_ANSWERED
    assert village.world.accounts[ada.id]["premium"].balance == 5


def test_the_decliner_may_write_after_all_without_a_second_refund(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    grace.declines(inmail)
    refused = ada.writes_in(inmail)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.CONVERSATION_CLOSED

    assert isinstance(grace.writes_in(inmail), Done)
    assert isinstance(ada.writes_in(inmail), Done)
    kinds = [e.kind for e in village.world.entries[ada.id, "premium"]]
    assert kinds == ["grant", "spend", "refund"]


def test_a_withdrawal_never_refunds_and_comes_before_any_response(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    assert isinstance(ada.withdraws(inmail), Done)
    late = grace.accepts(inmail)
    assert isinstance(late, Refused)
    assert late.code is Refusal.NOT_PENDING
    assert village.world.accounts[ada.id]["premium"].balance == 4


def test_only_the_sender_withdraws_and_only_the_recipient_answers(village: Village) -> None:
    ada, grace = village.ada, village.grace
    inmail = ada.sends(grace)
    answers = [ada.accepts(inmail), grace.withdraws(inmail)]
    codes = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert codes == [Refusal.NOT_THE_RECIPIENT, Refusal.NOT_THE_SENDER]
