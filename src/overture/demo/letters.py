"""What the demo's people write to each other: short letters that fit who writes and who reads."""

from random import Random

from overture.demo.cast import Part

_OFFERS = (
    (
        "A place for you at {s.employer}",
        (
            "we are opening a small team around {r.topic}, and your name came up twice in one meeting. "
            "The work is in {s.location} or wherever you are, four days a week.\n\n"
            "Would you talk for twenty minutes, with no CV and no forms?"
        ),
    ),
    (
        "{r.headline}, but here",
        (
            "I hire for {s.employer}, and I have read everything you wrote about {r.topic}. We need "
            "somebody who has done it and not only drawn it.\n\n"
            "If you are happy where you are, I would still like to know whom you would ask."
        ),
    ),
    (
        "Not a mass letter",
        (
            "there are three people who know {r.topic} well enough for what we plan, and you are the "
            "first I write to. The post is paid well and honestly described on one page.\n\n"
            "Shall I send you the page?"
        ),
    ),
    (
        "One season in {s.location}",
        (
            "{s.employer} looks for help from the spring on: six months, {r.topic}, a good team and a "
            "desk by the window. I can tell you the salary in my next line, if you want one."
        ),
    ),
)
_PRODUCTS = (
    (
        "{s.topic}: ten minutes?",
        (
            "firms like {r.employer} lose about a day a week that we can give back: {s.topic} is all "
            "we do. I would rather show it than describe it.\n\n"
            "Would Thursday suit you, ten minutes, and I leave on time?"
        ),
    ),
    (
        "What {r.employer} could stop doing",
        (
            "I watched how you handle {r.topic}, and there is a step in it that nobody should do by "
            "hand. We took it off two of your neighbours last year.\n\n"
            "May I send you the one-page account of what it cost and what went wrong?"
        ),
    ),
    (
        "A trial without a contract",
        (
            "we lend out what we make for a month and take it back without a question. If you have a "
            "quiet month for {r.topic}, you could have it from Monday."
        ),
    ),
    (
        "From {s.location}, about {r.topic}",
        (
            "you asked in public for something that does not exist yet. It exists in our workshop, it "
            "is ugly, and it works. Do you want to see it before we paint it?"
        ),
    ),
)
_QUESTIONS = (
    (
        "A question about {r.topic}",
        (
            "I work on {s.topic}, and I keep meeting the same wall that you wrote about. How did you "
            "know that it was time to stop?\n\nTwo lines would help me a great deal."
        ),
    ),
    (
        "Your talk in {r.location}",
        (
            "I sat in the third row and took four pages of notes. What you said about {r.topic} is the "
            "opposite of how we do {s.topic}, and I think that you are right.\n\n"
            "May I ask you three short questions by letter?"
        ),
    ),
    (
        "Twenty minutes of advice",
        (
            "I am moving towards {r.topic} after some years of {s.topic}. You have done the step that "
            "I am afraid of. Could I buy you a coffee, or a call, and ask how?"
        ),
    ),
    (
        "{s.employer} and {r.employer}",
        (
            "our two houses do two halves of one thing: you have {r.topic}, we have {s.topic}. I would "
            "like to try one small project together before anybody makes a plan of it.\n\n"
            "Are you the right person, and if not, who is?"
        ),
    ),
    (
        "May I quote you?",
        (
            "I am writing a short piece on {s.topic}, and your sentence on {r.topic} is the best in "
            "it. I would like to ask before I print it. The paragraph is eight lines long."
        ),
    ),
    (
        "A correction, and thanks",
        (
            "in our handbook we got {r.topic} wrong, and somebody showed me that you had it right "
            "years ago. It is mended now, with your name beside it if you allow.\n\n"
            "I would also like to hear what else we got wrong."
        ),
    ),
    (
        "",
        (
            "we have not met, but we were both praised in one sentence last week, which nobody does by "
            "accident. I do {s.topic}. Do you have a minute to compare notes on {r.topic}?"
        ),
    ),
    (
        "A seat on a small panel",
        (
            "we gather five people in {s.location} each autumn to disagree about {r.topic}. No slides, "
            "good soup. The travel is paid. Would you be one of the five?"
        ),
    ),
)
_FREE = (
    (
        "You said anyone may write",
        (
            "so I do: I have read what you say about {r.topic} and would like to hear how you began. "
            "I am at the very beginning of it myself, with {s.topic} behind me."
        ),
    ),
    (
        "Hello from {s.location}",
        (
            "your profile is open, so here is a stranger. We face the same trouble with {r.topic}; I "
            "have written down what worked and can send it, two pages, nothing to sell."
        ),
    ),
)
_YES = (
    (
        "Thank you for asking so precisely. Yes: {r.topic} is something I can talk about for longer "
        "than you will like. Does Wednesday afternoon suit you, {r.location} time?"
    ),
    (
        "Dear {s.first_name}, gladly. Two lines are not enough for it, so send me your three questions "
        "and I will answer them on Friday."
    ),
    "I would not have found you, so I am glad that you wrote. Send me the page, please.",
    (
        "Yes, with one condition: that we speak about what went wrong first. That part of {r.topic} is "
        "never in the talks."
    ),
    (
        "This comes at a good moment. I am not free before the end of the month; after that, with "
        "pleasure."
    ),
    "Interesting. I know little about {s.topic} and would like to know more. When do you start?",
    "I am the right person, for once. Let us begin with something small enough to fail quietly.",
)
_NO = (
    "Thank you for thinking of me. I have promised not to take on anything new this year.",
    "I am afraid that I am not the one you look for, but I wish you well with {s.topic}.",
    "No, thank you. We have looked at this before and decided against it.",
)
_CHAT = (
    "Wednesday at three is good. I will call you.",
    "Here is what I promised. The second page is the one that matters.",
    "I have read it twice. Your point about the costs is fair, and I have no answer to it yet.",
    "May I show this to a colleague at {w.employer}? She has the same trouble and more patience.",
    "Of course. Leave out the names, please.",
    "We tried it this morning. It works, and nobody believes me why.",
    (
        "Thank you for the call. I wrote down the three things that we agreed on; tell me if I heard "
        "one of them wrong."
    ),
    "One and two are as I meant them. Three should say “by the end of the month”.",
    "I shall be in {o.location} in two weeks. Is there a café where one can talk?",
    "There is one at the harbour. I will show you how we do {w.topic} on the way.",
    "A short word to say that it went well. I owe you an answer whenever you need one.",
    "Good to hear! Tell me how the next one goes.",
)
_NEWS = (
    "How did the thing with {o.topic} end? I have been telling everybody about it.",
    "Are you in {o.location} next week? I have an hour on Tuesday.",
    "A friend of mine looks for somebody who knows {o.topic}. May I give her your name?",
    "I saw that {o.employer} is in the papers, and for something good. Congratulations!",
    "Do you still have the list that we made in the spring? I have lost mine.",
)
_NEWS_ANSWERED = (
    "Better than I feared. I will tell you on Tuesday.",
    "Yes, please do. And thank you for thinking of me.",
    "I have it here and will send it tonight.",
    "Tuesday at ten, where we were last time?",
)
_NOTES = (
    "It was good to meet you in {o.location}. Let us stay in touch.",
    "We wrote so much this month that we might as well be connected.",
    "Colleagues tell me that I should know you: {o.topic} is where I am heading.",
    "",
)
_GREETINGS = ("Dear {r.first_name},", "Hello {r.first_name},", "Good morning {r.first_name},")
_CLOSINGS = ("Kind regards,", "With best wishes,", "Thank you,", "Yours,")


def first_letter(rng: Random, sender: Part, recipient: Part, pool: str | None) -> tuple[str, str]:
    """Subject and body of a letter to a stranger; `pool` pays for it, none pays for a free one."""
    kinds = {"sales_navigator": _PRODUCTS, "recruiter": _OFFERS, "premium": _QUESTIONS}
    subject, said = rng.choice(kinds[pool] if pool else _FREE)
    body = f"{rng.choice(_GREETINGS)}\n\n{said}\n\n{rng.choice(_CLOSINGS)}\n{{s.first_name}}"
    filled = {"s": sender, "r": recipient}
    subject = subject.format(**filled)
    return subject[:1].upper() + subject[1:], _capitalized(body.format(**filled))


def answer(rng: Random, sender: Part, recipient: Part, *, accepts: bool) -> str:
    """What the recipient of a letter answers in words of their own."""
    return rng.choice(_YES if accepts else _NO).format(s=sender, r=recipient)


def chat(turn: int, writer: Part, other: Part) -> str:
    """A line of the talk that follows an accepted letter."""
    return _CHAT[turn % len(_CHAT)].format(w=writer, o=other)


def news(rng: Random, writer: Part, other: Part) -> str:
    """What one connection writes to another."""
    return rng.choice(_NEWS).format(w=writer, o=other)


def news_answered(rng: Random) -> str:
    return rng.choice(_NEWS_ANSWERED)


def note(rng: Random, inviter: Part, invitee: Part) -> str:
    """What goes with an invitation to connect."""
    return rng.choice(_NOTES).format(w=inviter, o=invitee)


def _capitalized(body: str) -> str:
    """The sentence after the greeting begins as sentences do in English."""
    greeting, _, rest = body.partition("\n\n")
    return f"{greeting}\n\n{rest[:1].upper()}{rest[1:]}"
