"""What an export's rows become."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overture.linkedin.records import (
    Connection,
    Direction,
    Invitation,
    Message,
    Person,
    Problem,
    Receipt,
    Skip,
    Skipped,
)

MINA = "https://www.linkedin.com/in/mina-fernsby-example"
OTTO = "https://www.linkedin.com/in/otto-quillfeather-example"
WREN = "https://www.linkedin.com/in/wren-hollow-example"
MESSAGES = (
    "CONVERSATION ID,CONVERSATION TITLE,FROM,SENDER PROFILE URL,TO,RECIPIENT PROFILE URLS,DATE,"
    "SUBJECT,CONTENT,FOLDER,ATTACHMENTS,IS MESSAGE DRAFT\r\n"
)


def message_row(content="Hello", date="2021-02-01 08:00:00 UTC", draft="No", conversation="c1"):
    return f'{conversation},,Otto,{OTTO},Mina,{MINA},{date},,"{content}",INBOX,,{draft}\r\n'


# Connections


def test_connections_come_with_their_particulars(sample):
    otto, wren, *_ = (row for row in sample.connections() if isinstance(row, Connection))
    assert otto == Connection(
        line=5,
        person=Person("Otto Quillfeather", OTTO, "otto-quillfeather-example"),
        email="otto@example.com",
        company="Quillfeather & Daughters",
        position="Ink Maker",
        connected_on=date(2019, 3, 12),
    )
    assert (wren.person.name, wren.email) == ("Wren Hollow, PhD", "")


def test_a_hidden_connection_is_counted_and_no_problem(sample):
    hidden = [row for row in sample.connections() if isinstance(row, Skipped)]
    assert hidden == [Skipped("Connections.csv", 7, Skip.HIDDEN_CONNECTION)]


def test_a_day_that_never_was_is_a_problem_with_its_line_and_the_rest_goes_in(sample):
    rows = list(sample.connections())
    assert rows[3] == Problem("Connections.csv", 8, "the date “31 Feb 2020” could not be read")
    assert rows[4].person.name == "Zoë Ærlig"
    assert rows[4].person.key == "zoë-ærlig-example"


def test_connections_of_before_2021_have_no_preamble_and_no_url(export_of):
    text = (
        "First Name,Last Name,Email Address,Company,Position,Connected On\n"
        "Otto,Quillfeather,,Ink,Maker,12 Mar 2019\n"
    )
    (otto,) = export_of({"Connections.csv": text}).connections()
    assert otto.person == Person("Otto Quillfeather", "", None)
    assert (otto.company, otto.position) == ("Ink", "Maker")


def test_columns_are_found_by_name_whatever_their_order_and_case(export_of):
    text = "connected on,LAST NAME,First  Name,position\n12 Mar 2019,Quillfeather,Otto,Maker\n"
    (otto,) = export_of({"Connections.csv": text}).connections()
    assert (otto.person.name, otto.position) == ("Otto Quillfeather", "Maker")


def test_a_connection_without_a_date_goes_in_without_one(export_of):
    text = "First Name,Last Name,Connected On\nOtto,Quillfeather,\n"
    (otto,) = export_of({"Connections.csv": text}).connections()
    assert otto.connected_on is None


def test_a_name_loses_what_turns_its_direction_and_what_cannot_be_seen(export_of):
    text = "First Name,Last Name,Connected On\nOt\u202eto\0,Quill\u2066\x07feather ,12 Mar 2019\n"
    (otto,) = export_of({"Connections.csv": text}).connections()
    assert otto.person.name == "Otto Quillfeather"


# Invitations


def test_invitations_have_a_direction_and_another(sample):
    first, second, third = sample.invitations()
    assert (first.direction, first.other.key) == (
        Direction.OUTGOING,
        "otto-quillfeather-example",
    )
    assert (second.direction, second.other.name) == (Direction.INCOMING, "Tam Okonjo-Vale")
    assert first.owner == second.owner == third.owner
    assert third.message == "Shall we trade almanacs?"


def test_invitations_have_dates_of_both_shapes(sample):
    assert [row.sent_at for row in sample.invitations()] == [
        datetime(2019, 3, 11, 9, 5, tzinfo=UTC),
        datetime(2026, 1, 29, 14, 37, tzinfo=UTC),
        datetime(2025, 11, 2, 18, 20, 44, tzinfo=UTC),
    ]


def test_an_invitation_without_a_direction_is_a_problem(export_of):
    text = "From,To,Sent At,Message,Direction\nOtto,Mina,2020-01-01 00:00:00 UTC,,SIDEWAYS\n"
    (row,) = export_of({"Invitations.csv": text}).invitations()
    assert row.reason == "the direction “SIDEWAYS” is neither incoming nor outgoing"


# Messages


def test_each_row_is_a_message_or_skipped_or_a_problem(sample):
    kinds = [type(row) for row in sample.messages()]
    assert kinds == [Message, Message, Message, Message, Skipped, Message, Message, Problem]


def test_a_body_of_many_lines_is_whole(sample):
    first = next(sample.messages())
    assert first.body == 'Thank you, Mina.\n\nThe secret is "patience",\nand cobalt.'
    assert (first.line, first.order) == (2, 1)


def test_the_line_is_the_physical_one_on_which_the_row_begins(sample):
    assert [row.line for row in sample.messages()] == [2, 6, 7, 8, 9, 10, 11, 12]


def test_a_draft_is_dropped_and_counted(sample):
    skipped = [row for row in sample.messages() if isinstance(row, Skipped)]
    assert skipped == [Skipped("messages.csv", 9, Skip.DRAFT)]


@pytest.mark.parametrize(
    ("mark", "kind"),
    [("Yes", Skipped), ("true", Skipped), ("1", Skipped), ("No", Message), ("", Message)],
)
def test_drafts_are_marked_in_several_ways(export_of, mark, kind):
    (row,) = export_of({"messages.csv": MESSAGES + message_row(draft=mark)}).messages()
    assert isinstance(row, kind)


def test_html_becomes_text(sample):
    messages = [row for row in sample.messages() if isinstance(row, Message)]
    assert messages[2].body == "Dear Otto,\n\nsee my shelf (https://example.com/blue) & smile."


def test_a_message_of_attachments_alone_shows_where_they_are(sample):
    messages = [row for row in sample.messages() if isinstance(row, Message)]
    assert messages[3].body == "https://example.com/files/tides.pdf"
    assert messages[3].attachments == ("https://example.com/files/tides.pdf",)


def test_a_message_with_nothing_in_it_is_skipped(export_of):
    (row,) = export_of({"messages.csv": MESSAGES + message_row(content=" \n ")}).messages()
    assert row.why is Skip.EMPTY


def test_a_deleted_member_is_someone_without_a_key(sample):
    messages = [row for row in sample.messages() if isinstance(row, Message)]
    assert messages[4].sender == Person("LinkedIn Member", "", None)


def test_conversations_with_one_person_stay_two(sample):
    messages = [row for row in sample.messages() if isinstance(row, Message)]
    with_otto = {row.conversation_id for row in messages if row.sender.name.startswith("Otto")}
    assert with_otto == {"2-blue==", "2-more-blue=="}


def test_a_group_names_all_its_recipients(sample):
    messages = [row for row in sample.messages() if isinstance(row, Message)]
    assert messages[1].recipients == (
        Person("Otto Quillfeather", OTTO, "otto-quillfeather-example"),
        Person("Wren Hollow, PhD", WREN, "wren-hollow-example"),
    )
    assert messages[1].title == "Almanacs"


def test_an_unreadable_date_is_a_problem(sample):
    *_, last = sample.messages()
    assert last.sentence() == "messages.csv, line 12: the date “yesterday” could not be read"


def test_control_characters_are_dropped_from_a_body_and_its_tabs_stay(export_of):
    text = MESSAGES + message_row(content="a\0b\x07c\td\x7f")
    (row,) = export_of({"messages.csv": text}).messages()
    assert row.body == "abc\td"


def test_a_missing_conversation_id_is_made_from_who_takes_part(export_of):
    there = f",,Otto,{OTTO},Mina,{MINA},2021-02-01 08:00:00 UTC,,Hello,,,\r\n"
    back = f",,Mina,{MINA}/,Otto,{OTTO},2021-02-01 09:00:00 UTC,,Hello,,,\r\n"
    other = f",,Mina,{MINA},Wren,{WREN},2021-02-01 09:00:00 UTC,,Hello,,,\r\n"
    first, second, third = export_of({"messages.csv": MESSAGES + there + back + other}).messages()
    assert first.conversation_id == second.conversation_id != third.conversation_id


def test_messages_of_before_2018_have_few_columns(export_of):
    text = 'From,To,Date,Subject,Content,Direction\nOtto,Mina,"7/1/15, 9:00 PM",Hi,Hello,INCOMING\n'
    (row,) = export_of({"messages.csv": text}).messages()
    assert (row.sender.name, row.sent_at) == ("Otto", datetime(2015, 7, 1, 21, tzinfo=UTC))


# The owner, and what was paid


def test_the_owner_is_known_from_profile_positions_and_invitations(sample):
    owner, problems = sample.owner()
    assert owner.person == Person("Mina Fernsby", MINA, "mina-fernsby-example")
    assert owner.headline == "Keeper of the Harbour Almanac"
    assert (owner.location, owner.company) == ("Saltmarsh Harbour", "Saltmarsh Almanac Society")
    assert owner.position == "Keeper"
    assert problems == ()


def test_without_invitations_the_owner_is_who_takes_part_in_everything(export_of):
    text = (
        MESSAGES
        + message_row(conversation="c1")
        + f"c2,,Wren,{WREN},Mina,{MINA},2021-02-01 08:00:00 UTC,,Hello,INBOX,,No\r\n"
    )
    owner, _ = export_of({"messages.csv": text}).owner()
    assert owner.person.key == "mina-fernsby-example"


def test_of_two_who_take_part_in_everything_the_owner_has_the_owners_name(export_of):
    files = {"messages.csv": MESSAGES + message_row()}
    assert export_of(files).owner() == (None, ())
    owner, _ = export_of(files | {"Profile.csv": "First Name,Last Name\nOtto,\n"}).owner()
    assert owner.person.key == "otto-quillfeather-example"


def test_a_position_that_ended_is_not_held(export_of):
    text = "Company Name,Title,Started On,Finished On\nInk,Maker,Jan 2016,Mar 2020\n"
    files = {"Positions.csv": text, "Profile.csv": "First Name,Last Name\nMina,Fernsby\n"}
    owner, _ = export_of(files).owner()
    assert (owner.company, owner.position) == ("", "")


def test_the_plan_is_the_one_paid_for_last_and_begins_with_its_first_payment(sample):
    suggested, _ = sample.suggested_plan()
    assert suggested.plan == "premium_business"
    assert suggested.signed_up_at == datetime(2024, 2, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("description", "plan"),
    [
        ("LinkedIn Premium Career (monthly)", "premium_career"),
        ("Premium Business - Annual", "premium_business"),
        ("LinkedIn Sales Navigator Core (monthly)", "sales_navigator_core"),
        ("Recruiter Lite", "recruiter_lite"),
        ("Refund: LinkedIn Premium Career", None),
        ("One job post", None),
    ],
)
def test_a_receipts_description_names_a_plan(export_of, description, plan):
    text = f"Transaction Made At,Description\n2024-02-29 10:00:00 UTC,{description}\n"
    (receipt,) = export_of({"Receipts_v2.csv": text}).receipts()
    assert isinstance(receipt, Receipt)
    assert receipt.plan == plan


def test_without_payments_no_plan_is_suggested(export_of):
    assert export_of({"Profile.csv": "First Name,Last Name\n"}).suggested_plan() == (None, ())


# Anything at all

odd_cells = st.text(max_size=30) | st.sampled_from(
    [
        "",
        "\0",
        '"',
        '""',
        ",",
        "\r",
        "\n",
        "<p>",
        "<![",
        "&#xD800;",
        "5/4/26, 2:00 PM",
        MINA,
        "INCOMING",
        "Yes",
        "2021-02-01 08:00:00 UTC",
        "\u202e",
        "9999-12-31T23:59:59-01:00",
    ]
)
odd_files = st.lists(st.lists(odd_cells, max_size=14), max_size=8).map(
    lambda rows: "\n".join(",".join(row) for row in rows)
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=odd_files, noise=st.binary(max_size=40))
def test_whatever_a_file_holds_its_rows_are_records_or_problems(export_of, text, noise):
    content = text.encode("utf-8", "surrogatepass") + noise
    archive = export_of(
        {
            "messages.csv": MESSAGES.encode() + content,
            "Invitations.csv": b"From,To,Sent At,Message,Direction,inviterProfileUrl\n" + content,
            "Connections.csv": b"Notes:\n\nFirst Name,Last Name,URL,Connected On\n" + content,
            "Receipts_v2.csv": b"Transaction Made At,Description\n" + content,
            "Positions.csv": b"Company Name,Title,Started On,Finished On\n" + content,
            "Profile.csv": b"First Name,Last Name,Summary\n" + content,
        }
    )
    for rows in (archive.messages, archive.invitations, archive.connections, archive.receipts):
        for row in rows():
            assert isinstance(row, Message | Invitation | Connection | Receipt | Skipped | Problem)
            if isinstance(row, Message):
                assert row.body.strip()
                row.body.encode()
                assert "\0" not in row.body
    archive.owner()
    archive.suggested_plan()
