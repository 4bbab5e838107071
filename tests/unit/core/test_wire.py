from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.wire import NodeTarget, Target, WebhookTarget, WorkerTarget, check_url


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com",
            "https://example.com/hook?x=1&y=%20",
            "HTTPS://Example.COM/Hook",
            "http://localhost:8000/",
            "http://payments_api:8080/hook",
            "http://a.b.c.example./",
            "http://127.0.0.1:65535/",
            "http://[::1]/",
            "http://[2001:db8::1]:8080/x",
            "http://xn--bcher-kva.example/",
            "http://example.com:/",
            "http://0x.example/",
        ],
    )
    def test_a_url_that_can_be_called_is_accepted(self, url: str) -> None:
        check_url(url, "url")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "/hook",
            "//example.com/hook",
            "example.com",
            "https:example.com",
            "https://",
            "https:///hook",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "httpsx://example.com/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://@example.com/",
            "https://:@example.com/",
            "https://example.com\\@evil.example/",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:-1/",
            "https://example.com:http/",
            "https://example.com:80:90/",
            "https://example.com:8 0/",
            "https://exa mple.com/",
            " https://example.com/",
            "https://example.com/ ",
            "https://example.com/\n",
            "https://exam\tple.com/",
            "https://example.com/\x00",
            "https://example.com/\x7f",
            "https://bücher.example/",
            "https://example.com/ä",
            "https://ｅxample.com/",
            "https://[::1/",
            "https://::1/",
            "https://[::1]x/",
            "https://[::g]/",
            "https://[1.2.3.4]/",
            "https://[v1.a]/",
            "https://[]/",
            "https://1.2.3.999/",
            "https://1.2.3/",
            "https://a..b/",
            "https://.example.com/",
            "https://-a.example/",
            "https://a-.example/",
            "https://a%41.example/",
            "https://a<b>.example/",
            'https://"a".example/',
            "https://" + "a" * 64 + ".example/",
            "https://" + "a." * 130 + "example/",
            "https://example.com/" + "x" * 2000,
        ],
    )
    def test_a_url_that_cannot_be_called_is_refused_at_the_report(self, url: str) -> None:
        """Accepted, it would fail at each attempt until the task is dead."""
        with pytest.raises(
            InvalidDocument, match=r"expected an absolute http or https URL|without user information"
        ) as no:
            check_url(url, "target.url")

        assert no.value.path == "target.url"

    def test_credentials_do_not_come_back_in_the_message(self) -> None:
        with pytest.raises(InvalidDocument) as refused:
            check_url("https://user:hunter2@example.com/", "url")

        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize("bad", [":99999", ":0", "<"])
    def test_credentials_do_not_come_back_when_something_else_is_wrong_too(self, bad: str) -> None:
        with pytest.raises(InvalidDocument) as refused:
            check_url(f"https://user:hunter2@example.com{bad}/", "url")

        assert "hunter2" not in str(refused.value)

    @given(
        st.builds(
            "{}://{}{}{}".format,
            st.sampled_from(["http", "https", "HTTP", "ftp"]),
            st.text(alphabet="ab1.-_[]:%\\@<ü ", min_size=1, max_size=12).filter(lambda host: "xn--" not in host),
            st.sampled_from(["", ":", ":80", ":0", ":99999", ":x"]),
            st.sampled_from(["", "/", "/x?y#z", "?x", "/%zz", "/\\"]),
        )
    )
    def test_what_is_accepted_can_be_called(self, url: str) -> None:
        try:
            check_url(url, "url")
        except InvalidDocument:
            return

        request = httpx.Request("POST", url)
        assert request.url.scheme in ("http", "https")
        assert request.url.host

    @given(st.text(max_size=80))
    def test_no_text_can_break_it(self, text: str) -> None:
        for url in (text, f"http://{text}", f"https://[{text}]:1/"):
            try:
                check_url(url, "url")
            except InvalidDocument:
                continue
            assert "://" in url


class TestTargets:
    @pytest.mark.parametrize(
        "target",
        [
            NodeTarget(),
            WorkerTarget("orders"),
            WebhookTarget("https://example.com/x", "PUT", {"Authorization": "Bearer x"}),
        ],
    )
    def test_a_target_survives_its_document(self, target: Target) -> None:
        assert decode(type(target), encode(target)) == target

    @pytest.mark.parametrize(
        ("document", "path"),
        [
            ({"kind": "webhook"}, "url"),
            ({"kind": "webhook", "url": "nowhere"}, "url"),
            ({"kind": "webhook", "url": "https://example.com", "method": "HEAD"}, "method"),
            ({"kind": "webhook", "url": "https://example.com", "header": {}}, "header"),
            ({"kind": "webhook", "url": "https://example.com", "headers": {"X": 1}}, "headers.X"),
        ],
    )
    def test_a_faulty_webhook_is_refused(self, document: dict[str, Any], path: str) -> None:
        with pytest.raises(InvalidDocument) as refused:
            decode(WebhookTarget, document)

        assert refused.value.path == path

    @pytest.mark.parametrize(
        "name",
        [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "TE",
            "Upgrade",
            "Idempotency-Key",
            "traceparent",
            "webhook-id",
            "Webhook-Timestamp",
            "WEBHOOK-SIGNATURE",
            "Redrive-Task",
            "redrive-attempt",
            "REDRIVE-ANYTHING",
        ],
    )
    def test_headers_that_redrive_or_http_sets_cannot_be_given(self, name: str) -> None:
        with pytest.raises(InvalidDocument, match="is set by Redrive or by HTTP itself"):
            WebhookTarget("https://example.com", headers={name: "x"})

    @pytest.mark.parametrize("name", ["", " X", "X Y", "X:", "Ü", "X\n", "X\x00", "(x)"])
    def test_a_header_name_is_a_token(self, name: str) -> None:
        with pytest.raises(InvalidDocument, match="header names of RFC 9110 tokens"):
            WebhookTarget("https://example.com", headers={name: "x"})

    @pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "\x00", "ü", "\x7f", "a\tb", " a", "a "])
    def test_a_header_value_cannot_smuggle_or_be_refused_by_the_client(self, value: str) -> None:
        with pytest.raises(InvalidDocument, match="must be printable ASCII without outer spaces"):
            WebhookTarget("https://example.com", headers={"X-Key": value})

    @pytest.mark.parametrize("name", ["Authorization", "Content-Type", "X-Redrive", "Cookie"])
    def test_other_headers_are_allowed(self, name: str) -> None:
        assert WebhookTarget("https://example.com", headers={name: "a b"}).headers == {name: "a b"}

    @pytest.mark.parametrize("queue", ["", "q" * 201])
    def test_a_task_queue_has_a_name_of_bounded_length(self, queue: str) -> None:
        with pytest.raises(InvalidDocument, match="expected 1 to 200 characters"):
            WorkerTarget(queue)
