"""A user of the portal without JavaScript: opens pages, fills in the first form of <main>, presses its button."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin

import requests

Values = str | Iterable[str]


@dataclass
class Form:
    """A form as a browser would send it if nothing was typed."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class _FormReader(HTMLParser):
    """Collects the forms within <main>."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._in_main = False
        self._form: Form | None = None
        self._select = ""
        self._first_option: str | None = None
        self._textarea: str | None = None
        self._button = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open forms, and note what their fields hold."""
        given = {key: value if value is not None else "" for key, value in attrs}
        if tag == "main":
            self._in_main = True
        elif tag == "form" and self._in_main:
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None:
            self._field(tag, given)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        assert self._form is not None
        name = given.get("name", "")
        if tag == "input" and name and given.get("type") not in {"submit", "button"}:
            chosen = given.get("type") in {"checkbox", "radio"}
            if not chosen or "checked" in given:
                self._form.fields.setdefault(name, []).append(given.get("value", "on" if chosen else ""))
        elif tag == "textarea":
            self._textarea = name
            self._form.fields[name] = [""]
        elif tag == "select":
            self._select, self._first_option = name, None
        elif tag == "option" and self._select:
            if self._first_option is None:
                self._first_option = given.get("value", "")
            if "selected" in given:
                self._form.fields[self._select] = [given.get("value", "")]
        elif tag == "button":
            self._button = given.get("type", "submit") == "submit"
            if self._button:
                self._form.buttons.append("")

    def handle_data(self, data: str) -> None:
        """Read what is typed in a text area, and the words on a button."""
        if self._form is not None and self._textarea is not None:
            self._form.fields[self._textarea][-1] += data
        elif self._form is not None and self._button:
            self._form.buttons[-1] = f"{self._form.buttons[-1]} {data.strip()}".strip()

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened."""
        if tag == "main":
            self._in_main = False
        elif tag == "form":
            self._form = None
        elif tag == "textarea":
            self._textarea = None
        elif tag == "button":
            self._button = False
        elif tag == "select" and self._form is not None:
            if self._select not in self._form.fields and self._first_option is not None:
                self._form.fields[self._select] = [self._first_option]
            self._select = ""


def forms_in(page: str) -> list[Form]:
    """The forms within a page's <main>, in order."""
    reader = _FormReader()
    reader.feed(page)
    return reader.forms


class Visitor:
    """One browser session."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()

    def get(self, path: str, *, expect: int = 200) -> requests.Response:
        """Open a page."""
        answer = self.http.get(urljoin(self.base, path), timeout=30)
        assert answer.status_code == expect, f"{path}: {answer.status_code}, not {expect}"
        return answer

    def submit(
        self,
        path: str,
        values: Mapping[str, Values] | None = None,
        *,
        expect: int | None = 200,
        action: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Fill in the first form of the page at `path` (or the one that posts to `action`) and send it.

        `expect` is the status of the answer; None takes any.
        """
        page = self.get(path)
        forms = forms_in(page.text)
        wanted = [one for one in forms if not action or urljoin(page.url, one.action) == urljoin(self.base, action)]
        assert wanted, f"{path} has no form{f' for {action}' if action else ''}"
        form = wanted[0]
        data: dict[str, list[str]] = dict(form.fields)
        for name, value in (values or {}).items():
            data[name] = [value] if isinstance(value, str) else list(value)
        target = urljoin(page.url, form.action)
        sent = {"Referer": page.url, **(headers or {})}
        answer = self.http.request(form.method, target, data=data, headers=sent, timeout=60)
        assert expect in {None, answer.status_code}, (
            f"{target}: {answer.status_code}, not {expect}\n{answer.text[:2000]}"
        )
        return answer

    def sign_in(self, email: str, password: str) -> None:
        """Sign in; fails where the portal does not let us."""
        answer = self.submit("/accounts/login/", {"login": email, "password": password})
        assert "/accounts/login/" not in answer.url, "the sign-in was refused"
