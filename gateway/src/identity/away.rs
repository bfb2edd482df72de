//! Sign-ins whose person is elsewhere, at an identity provider or at his mail. Each lies in a cookie of its own meanwhile, so that those of
//! two tabs do not take each other's place.
//!
//! All of them travel with every request, so they are few, and together no larger than one cookie may be: the oldest make room.
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::{pages::Hidden, session::Jar};

/// How long a person may be away: as long as auth waits for that.
const SECONDS: i64 = 60 * 60;
/// Sign-ins that one browser may have so.
const MOST: usize = 4;
/// Most of a cookie that browsers must keep (RFC 6265 section 6.1), less its name and attributes.
const BYTES: usize = 3900;

/// A sign-in that lies in a cookie.
pub(super) struct Away {
    tag: String,
    /// When its person left.
    since: i64,
    size: usize,
    /// What its form would carry; `None` for what is no sign-in.
    hidden: Option<Hidden>,
}

impl Away {
    /// All that lie in this browser, the newest first.
    fn all(jar: Jar, headers: &HeaderMap) -> Vec<Self> {
        let read = |(tag, value): (&str, &str)| {
            let (since, kept) = value.split_once('.').unwrap_or_default();
            let since: Option<i64> = since.parse().ok();
            let hidden = since.and_then(|_| Hidden::unpacked(kept)).filter(|_| value.len() <= BYTES);
            Self { tag: tag.to_owned(), since: since.unwrap_or(i64::MIN), size: value.len(), hidden }
        };
        let mut found: Vec<_> = jar.away(headers).into_iter().map(read).collect();
        found.sort_by_key(|away| std::cmp::Reverse((away.hidden.is_some(), away.since)));
        found
    }

    /// The one that was kept under this.
    pub(super) fn of(jar: Jar, headers: &HeaderMap, key: &str) -> Option<Hidden> {
        let tag = tag(key);
        Self::all(jar, headers).into_iter().find(|away| away.tag == tag)?.hidden
    }

    /// What each of them would carry, the newest first.
    pub(super) fn hidden(jar: Jar, headers: &HeaderMap) -> Vec<Hidden> {
        Self::all(jar, headers).into_iter().filter_map(|away| away.hidden).take(MOST).collect()
    }

    /// Cookies that keep a sign-in under a key, and end the oldest if it is one too many; none for one that is too large.
    pub(super) fn keep(jar: Jar, headers: &HeaderMap, key: &str, hidden: &Hidden, now: i64) -> Vec<HeaderValue> {
        let Some(value) = hidden.packed().map(|kept| format!("{now}.{kept}")) else { return Vec::new() };
        let Some(mut room) = BYTES.checked_sub(value.len()) else { return Vec::new() };
        let tag = tag(key);
        let mut cookies: Vec<_> = jar.set_away(&tag, &value, SECONDS).into_iter().collect();
        let others = Self::all(jar, headers).into_iter().filter(|away| away.tag != tag);
        for (place, away) in (1..).zip(others) {
            match room.checked_sub(away.size) {
                Some(left) if place < MOST && away.hidden.is_some() => room = left,
                // Whatever is older goes too.
                _ => {
                    room = 0;
                    cookies.extend(jar.set_away(&away.tag, "", 0));
                }
            }
        }
        cookies
    }

    /// The same, if it lies in this browser.
    pub(super) fn end_here(jar: Jar, headers: &HeaderMap, key: &str) -> Option<HeaderValue> {
        Self::of(jar, headers, key).and_then(|_| Self::end(jar, key))
    }

    /// Takes the one away that was kept under this.
    pub(super) fn end(jar: Jar, key: &str) -> Option<HeaderValue> {
        jar.set_away(&tag(key), "", 0)
    }
}

/// What tells the cookies apart: it says nothing of the key, which is a secret.
fn tag(key: &str) -> String {
    Sha256::digest(key.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    /// A browser with nothing but these cookies.
    struct Browser(HeaderMap);

    impl Browser {
        fn take(&mut self, cookies: Vec<HeaderValue>) {
            let mut kept: std::collections::BTreeMap<String, String> = self.pairs().collect();
            for cookie in cookies {
                let text = cookie.to_str().expect("ASCII");
                let (name, rest) = text.split_once('=').expect("a cookie");
                match rest.split_once(';').expect("attributes").0 {
                    "" => drop(kept.remove(name)),
                    value => drop(kept.insert(name.to_owned(), value.to_owned())),
                }
            }
            let line = kept.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            self.0.insert(header::COOKIE, line.parse().expect("ASCII"));
        }

        fn pairs(&self) -> impl Iterator<Item = (String, String)> {
            let line = self.0.get(header::COOKIE).map(|line| line.to_str().expect("ASCII")).unwrap_or_default();
            let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            line.split("; ").filter_map(pair).collect::<Vec<_>>().into_iter()
        }
    }

    fn sign_in(flow: &str, length: usize) -> Hidden {
        Hidden { flow: flow.to_owned(), return_to: "/".repeat(length), ..Hidden::default() }
    }

    fn jar() -> Jar {
        Jar::of("https://app.example").expect("TLS")
    }

    #[test]
    fn each_tab_has_a_cookie_of_its_own_and_the_oldest_make_room() {
        let mut browser = Browser(HeaderMap::new());
        for (now, key) in [(5, "one"), (6, "two"), (7, "three"), (8, "four")] {
            browser.take(Away::keep(jar(), &browser.0, key, &sign_in(key, 1), now));
        }
        let flow = |browser: &Browser, key: &str| Away::of(jar(), &browser.0, key).map(|hidden| hidden.flow);
        for key in ["one", "two", "three", "four"] {
            assert_eq!(flow(&browser, key).as_deref(), Some(key));
        }
        browser.take(Away::keep(jar(), &browser.0, "five", &sign_in("five", 1), 9));
        assert_eq!((flow(&browser, "one"), flow(&browser, "two").as_deref()), (None, Some("two")));
        let newest: Vec<_> = Away::hidden(jar(), &browser.0).into_iter().map(|hidden| hidden.flow).collect();
        assert_eq!(newest, ["five", "four", "three", "two"]);
        browser.take(Away::keep(jar(), &browser.0, "two", &sign_in("again", 1), 10));
        assert_eq!((browser.pairs().count(), flow(&browser, "two").as_deref()), (4, Some("again")));
        browser.take(Away::end(jar(), "two").into_iter().collect());
        assert_eq!((browser.pairs().count(), flow(&browser, "two")), (3, None));
    }

    #[test]
    fn together_they_are_no_larger_than_one_may_be() {
        let mut browser = Browser(HeaderMap::new());
        for (now, key) in [(5, "one"), (6, "two"), (7, "three")] {
            browser.take(Away::keep(jar(), &browser.0, key, &sign_in(key, 1200), now));
            let size: usize = browser.pairs().map(|(_, value)| value.len()).sum();
            assert!(size <= BYTES, "{size}");
        }
        assert_eq!(browser.pairs().count(), 2);
        assert!(
            Away::keep(jar(), &browser.0, "four", &sign_in("four", 4000), 8).is_empty(),
            "too large for any browser"
        );
    }

    #[test]
    fn what_is_no_sign_in_of_ours_counts_for_nothing_and_goes() {
        let mut browser = Browser(HeaderMap::new());
        browser.take(Away::keep(jar(), &browser.0, "one", &sign_in("one", 1), 5));
        let (name, good) = browser.pairs().next().expect("one");
        let line =
            format!("{name}={good}; __Host-workos_away_x=9.rubbish; __Host-workos_away_y=rubbish; {name}={good}");
        let mut other = Browser(HeaderMap::new());
        other.0.insert(header::COOKIE, line.parse().expect("ASCII"));
        assert!(Away::of(jar(), &other.0, "one").is_none(), "of two by one name none counts");
        let cookies = Away::keep(jar(), &other.0, "two", &sign_in("two", 1), 6);
        assert_eq!(cookies.len(), 3, "the new one, and the ends of two");
        assert_eq!(Away::hidden(jar(), &browser.0).len(), 1);
    }
}
