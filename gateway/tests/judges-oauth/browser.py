"""A browser without script: `browser.py COOKIES URL EMAIL PASSWORD ORGANIZATION` opens a page, answers every form as its person would, and prints
where the platform sends it in the end. Exit 1 with the page when it stays."""
import html
import http.cookiejar
import re
import sys
import urllib.error
import urllib.parse
import urllib.request


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed on the platform alone."""

    def redirect_request(self, request, file, code, message, headers, url):
        return None


def named(field):
    """Name and value of an input, in whatever order it has its attributes; a field that is empty is sent empty."""
    name, value = (re.search(rf' {attribute}="([^"]*)"', field) for attribute in ("name", "value"))
    return name[1], value[1] if value else ""


def browse(cookies, url, email, password, organization, decision="approve"):
    jar = http.cookiejar.MozillaCookieJar(cookies)
    try:
        jar.load(ignore_discard=True)
    except OSError:
        pass
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), Stay)
    parts = urllib.parse.urlsplit(url)
    home = f"{parts.scheme}://{parts.netloc}"
    request = urllib.request.Request(url)
    for _ in range(10):
        try:
            answer = opener.open(request)
        except urllib.error.HTTPError as error:
            answer = error
        jar.save(ignore_discard=True)
        page, location = answer.read().decode(), answer.headers.get("location")
        if location is not None:
            target = urllib.parse.urljoin(request.full_url, location)
            if not target.startswith(home + "/"):
                return target
            request = urllib.request.Request(target)
            continue
        form = re.search(r'<form method="post" action="([^"]*)">(.*?)</form>', page, re.S)
        if answer.status != 200 or not form:
            return None if answer.status == 200 else f"!{answer.status} {page}"
        fields = {name: html.unescape(value) for name, value in map(named, re.findall(r"<input[^>]*>", form[2])) if name not in ("decision", "organization", "confirmed")}
        if 'name="password"' in form[2]:
            fields |= {"email": email, "password": password}
        if 'name="organization"' in form[2]:
            fields |= {"organization": organization}
        if 'name="decision"' in form[2]:
            fields |= {"decision": decision}
        if 'name="confirmed"' in form[2]:
            fields |= {"confirmed": "yes"}
        body = urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(urllib.parse.urljoin(home, form[1]), body, {"origin": home})
    return "!it goes in circles"


if __name__ == "__main__":
    found = browse(*sys.argv[1:])
    if found and found.startswith("!"):
        sys.exit(found)
    print(found or "")
