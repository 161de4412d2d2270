"""HTML into text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.linkedin.markup import html_to_text, is_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("<ul><li>ink</li><li>quill</li></ul>", "• ink\n• quill"),
        ("<ol><li>dip</li><li>write</li></ol>after", "1. dip\n2. write\nafter"),
        ('<a href="https://example.com/x">here</a>', "here (https://example.com/x)"),
        ('<a href="https://example.com">https://example.com</a>', "https://example.com"),
        ('<a href="mailto:mina@example.com">write</a>', "write (mina@example.com)"),
        ('<a href="javascript:alert(1)">press</a>', "press"),
        ("<p>Fish &amp; chips &lt;3 &#8364;5&nbsp;each</p>", "Fish & chips <3 €5 each"),
        ("<style>p{color:red}</style><p>seen</p><script>x()</script>", "seen"),
        ("<p>one\n   two</p>", "one two"),
        ("line one\nline two <b>bold</b>", "line one\nline two bold"),
        ("<p>a List<String> it was</p>", "a List<String> it was"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<!-- secret --><p>seen</p>", "seen"),
        (
            "<p>to &lt;otto@example.com&gt; and <a@example.com></p>",
            "to <otto@example.com> and <a@example.com>",
        ),
        ("<p>a<o:p></o:p></p>", "a"),
        ("<p>a</p><p></p><p></p><p></p><p>b</p>", "a\n\nb"),
    ],
)
def test_html_is_read_as_a_page_would_show_it(html, text):
    assert is_html(html) or "String" in html
    assert html_to_text(html) == text


def test_linkedins_own_editor_made_a_paragraph_of_each_line():
    line = '<p class="spinmail-quill-editor__spin-break">{}</p>'
    html = "".join(line.format(words) for words in ("Dear Otto,", "<br>", "one", "two"))
    assert html_to_text(html) == "Dear Otto,\n\none\ntwo"


@pytest.mark.parametrize(
    "text",
    [
        *("I <3 ink", "a < b and c > d", "put it in a <p> tag", "<otto@example.com>", ""),
        *("List<String>", "<https://example.com>", "x <- y", "fish &amp; chips"),
    ],
)
def test_plain_text_with_brackets_is_not_html(text):
    assert not is_html(text)


@pytest.mark.parametrize(
    "html",
    ["<p>kept<![endless", "<p>kept<!", "<p>kept</", "<p>kept<a href=", "<p>kept&#" + "9" * 9999],
)
def test_broken_html_keeps_its_words(html):
    assert "kept" in html_to_text(html)


@pytest.mark.parametrize(
    "part",
    [
        "<![",
        "<!--",
        "<a <",
        "<a href='",
        "</",
        "&#",
        "<p",
        "<ul>",
        "</script",
        "<a  ",
        "<script></script>",
    ],
)
def test_broken_html_of_a_megabyte_takes_seconds_at_most(part):
    html = "<p>" + part * ((1 << 20) // len(part))
    # Of the processor, which others may have meanwhile.
    begin = time.process_time()
    is_html(html)
    html_to_text(html)
    assert time.process_time() - begin < 10


@given(
    st.text()
    | st.lists(
        st.sampled_from(["<p>", "</p>", "<ul>", "<li>", "</ol>", "<ol>", "<a href=x>", "</a>"])
        | st.sampled_from(["<![", "<!--", "-->", "&#0;", "&#xD800;", "<script>", "</style>"])
        | st.sampled_from(["]]>", "<?", "<br", " ", "\n"])
        | st.text(max_size=5)
    ).map("".join)
)
def test_any_text_is_read(html):
    is_html(html)
    html_to_text(html)
