"""Every expected no, with its stable code and one sentence for people.

The members up to `SENDING_LIMIT` stand in the order in which "Who may write to whom" decides: the
first that fits is the answer.
"""

from enum import StrEnum

from overture.core.text import Sentence


class Refusal(StrEnum):
    NO_SUCH_MEMBER = "no_such_member"
    YOU_BLOCKED = "you_blocked"
    PENDING_INMAIL = "pending_inmail"
    CONVERSATION_CLOSED = "conversation_closed"
    RECIPIENT_UNAVAILABLE = "recipient_unavailable"
    OPEN_PROFILE_LIMIT = "open_profile_limit"
    RECIPIENT_NOT_PREMIUM = "recipient_not_premium"
    NOT_PREMIUM = "not_premium"
    NO_CREDITS = "no_credits"
    PRICE_EXCEEDS_MAX = "price_exceeds_max"
    SENDING_LIMIT = "sending_limit"

    ALREADY_ANSWERED = "already_answered"
    NOT_PENDING = "not_pending"
    NOT_THE_RECIPIENT = "not_the_recipient"
    NOT_THE_SENDER = "not_the_sender"
    READ_ONLY = "read_only"
    NO_SUCH_CONVERSATION = "no_such_conversation"
    NO_SUCH_MESSAGE = "no_such_message"
    UNKNOWN_QUICK_REPLY = "unknown_quick_reply"
    NOT_YOUR_MESSAGE = "not_your_message"
    MESSAGE_DELETED = "message_deleted"
    TOO_LATE_TO_CHANGE = "too_late_to_change"
    LETTER_STAYS = "letter_stays"
    NOT_AN_HOUR_TO_COME = "not_an_hour_to_come"

    FILES_NOT_YET = "files_not_yet"
    TOO_MANY_FILES = "too_many_files"
    FILE_EMPTY = "file_empty"
    FILE_TOO_LARGE = "file_too_large"
    FILE_KIND_NOT_TAKEN = "file_kind_not_taken"
    FILE_IS_OTHERWISE = "file_is_otherwise"
    NO_SPACE_FOR_FILES = "no_space_for_files"
    NO_SUCH_FILE = "no_such_file"

    SUSPENDED = "suspended"
    ALREADY_SUSPENDED = "already_suspended"
    NOT_SUSPENDED = "not_suspended"
    NO_SUCH_REPORT = "no_such_report"
    NO_SUCH_DECISION = "no_such_decision"
    NO_SUCH_COMPLAINT = "no_such_complaint"
    NO_SUCH_SUSPICION = "no_such_suspicion"
    ALREADY_DECIDED = "already_decided"
    NOT_DECIDED_YET = "not_decided_yet"
    ALREADY_COMPLAINED = "already_complained"
    TOO_LATE_TO_COMPLAIN = "too_late_to_complain"

    NO_SUBSCRIPTION = "no_subscription"
    UNKNOWN_PLAN = "unknown_plan"
    UNKNOWN_POOL = "unknown_pool"
    MANAGED_BY_PROVIDER = "managed_by_provider"
    ADJUSTS_NO_SUBSCRIPTION = "adjusts_no_subscription"
    ADJUSTS_ABOVE_CAP = "adjusts_above_cap"
    ADJUSTS_BELOW_ZERO = "adjusts_below_zero"

    HANDLE_TAKEN = "handle_taken"
    EXTERNAL_ID_TAKEN = "external_id_taken"
    ALREADY_CONNECTED = "already_connected"
    ALREADY_INVITED = "already_invited"
    NO_SUCH_INVITATION = "no_such_invitation"
    CANNOT_BE_YOURSELF = "cannot_be_yourself"

    NO_SUCH_ENDPOINT = "no_such_endpoint"
    NO_SUCH_DELIVERY = "no_such_delivery"
    ENDPOINT_DISABLED = "endpoint_disabled"

    @property
    def sentence(self) -> str:
        """What happened and what can be done about it."""
        return _SENTENCES[self]


_SENTENCES = {
    Refusal.NO_SUCH_MEMBER: Sentence("There is no such member."),
    Refusal.YOU_BLOCKED: Sentence("You have blocked this member. Unblock them to write."),
    Refusal.PENDING_INMAIL: Sentence(
        "Your earlier InMail to this member has no answer yet. You can write again once they answer."
    ),
    Refusal.CONVERSATION_CLOSED: Sentence(
        "This conversation is closed; nothing can be added to it."
    ),
    Refusal.RECIPIENT_UNAVAILABLE: Sentence("This member cannot be reached by InMail."),
    Refusal.OPEN_PROFILE_LIMIT: Sentence(
        "You have sent as many free letters to Open Profiles as a day allows. Try again later."
    ),
    Refusal.RECIPIENT_NOT_PREMIUM: Sentence(
        "This member has no Premium plan and cannot receive InMail."
    ),
    Refusal.NOT_PREMIUM: Sentence("You need a plan with InMail credits to write to this member."),
    Refusal.NO_CREDITS: Sentence(
        "You have no InMail credits left. Wait for your next grant or an answer."
    ),
    Refusal.PRICE_EXCEEDS_MAX: Sentence("This letter costs more credits than you allowed."),
    Refusal.SENDING_LIMIT: Sentence(
        "You have begun as many letters to strangers as a day allows. Try again later."
    ),
    Refusal.ALREADY_ANSWERED: Sentence("This InMail was answered already, and otherwise."),
    Refusal.NOT_PENDING: Sentence("This InMail is no longer waiting for an answer."),
    Refusal.NOT_THE_RECIPIENT: Sentence("Only the recipient of an InMail can answer it."),
    Refusal.NOT_THE_SENDER: Sentence("Only the sender of an InMail can withdraw it."),
    Refusal.READ_ONLY: Sentence("An imported group conversation can be read but not written in."),
    Refusal.NO_SUCH_CONVERSATION: Sentence("There is no such conversation."),
    Refusal.NO_SUCH_MESSAGE: Sentence("There is no such message in this conversation."),
    Refusal.UNKNOWN_QUICK_REPLY: Sentence("There is no such quick reply. See GET /quick-replies."),
    Refusal.NOT_YOUR_MESSAGE: Sentence("Only who wrote a message can change or delete it."),
    Refusal.MESSAGE_DELETED: Sentence("This message was deleted already."),
    Refusal.TOO_LATE_TO_CHANGE: Sentence(
        "A message can be changed and deleted for 15 minutes after it was sent."
    ),
    Refusal.LETTER_STAYS: Sentence(
        "A letter cannot be changed or deleted. While it waits for an answer, you can withdraw it."
    ),
    Refusal.NOT_AN_HOUR_TO_COME: Sentence(
        "Choose a time to come, within a year from now, to be reminded at."
    ),
    Refusal.FILES_NOT_YET: Sentence(
        "Files can be added once this conversation is open. Send your text without them."
    ),
    Refusal.TOO_MANY_FILES: Sentence(
        "A message takes 5 files at most. Send the others with another one."
    ),
    Refusal.FILE_EMPTY: Sentence("One of the files is empty. Choose it anew."),
    Refusal.FILE_TOO_LARGE: Sentence(
        "One of the files is larger than 10 MB. Make it smaller, or leave it out."
    ),
    Refusal.FILE_KIND_NOT_TAKEN: Sentence(
        "Files of this kind cannot be sent. PDF, PNG, JPEG, GIF, WebP, text and office documents can."
    ),
    Refusal.FILE_IS_OTHERWISE: Sentence(
        "One of the files is damaged, or is not what its name says. Save it anew, or leave it out."
    ),
    Refusal.NO_SPACE_FOR_FILES: Sentence(
        "Your files take up the 500 MB that a member has. Delete messages with files to make room."
    ),
    Refusal.NO_SUCH_FILE: Sentence("There is no such file in this conversation."),
    Refusal.SUSPENDED: Sentence(
        "This account is suspended. Sign in to read why, and to complain if that is wrong."
    ),
    Refusal.ALREADY_SUSPENDED: Sentence("This member is suspended already."),
    Refusal.NOT_SUSPENDED: Sentence("This member is not suspended."),
    Refusal.NO_SUCH_REPORT: Sentence("There is no such report."),
    Refusal.NO_SUCH_DECISION: Sentence("There is no such decision."),
    Refusal.NO_SUCH_COMPLAINT: Sentence("There is no such complaint."),
    Refusal.NO_SUCH_SUSPICION: Sentence("There is no such suspicion."),
    Refusal.ALREADY_DECIDED: Sentence("This was decided already."),
    Refusal.NOT_DECIDED_YET: Sentence("This report is not decided yet."),
    Refusal.ALREADY_COMPLAINED: Sentence("You have complained of this decision already."),
    Refusal.TOO_LATE_TO_COMPLAIN: Sentence(
        "A decision can be complained of for six months after it was made."
    ),
    Refusal.NO_SUBSCRIPTION: Sentence("You have no subscription in this pool."),
    Refusal.UNKNOWN_PLAN: Sentence("There is no such plan in this pool. See GET /plans."),
    Refusal.UNKNOWN_POOL: Sentence("There is no such pool. See GET /plans."),
    Refusal.MANAGED_BY_PROVIDER: Sentence(
        "Plans are paid for here: choose, change and cancel them where you pay."
    ),
    Refusal.ADJUSTS_NO_SUBSCRIPTION: Sentence(
        "The member has no subscription in this pool to adjust."
    ),
    Refusal.ADJUSTS_ABOVE_CAP: Sentence("That would lift the balance above the plan's cap."),
    Refusal.ADJUSTS_BELOW_ZERO: Sentence("That would take more credits than the member has."),
    Refusal.HANDLE_TAKEN: Sentence("Another member has this handle."),
    Refusal.EXTERNAL_ID_TAKEN: Sentence("Another member has this external id."),
    Refusal.ALREADY_CONNECTED: Sentence("You are connected already."),
    Refusal.ALREADY_INVITED: Sentence(
        "You have invited this member already; they have not answered yet."
    ),
    Refusal.NO_SUCH_INVITATION: Sentence("There is no such invitation waiting for you."),
    Refusal.CANNOT_BE_YOURSELF: Sentence("This cannot be done to yourself."),
    Refusal.NO_SUCH_ENDPOINT: Sentence("There is no such endpoint of webhooks."),
    Refusal.NO_SUCH_DELIVERY: Sentence("There is no such delivery in the endpoint’s log."),
    Refusal.ENDPOINT_DISABLED: Sentence("This endpoint is disabled. Enable it first."),
}
