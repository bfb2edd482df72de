//! Timestamp and Duration between their JSON strings and seconds with nanoseconds.
//!
//! Both follow the conformance suite: 0 to 9 fraction digits in, none, 3, 6 or 9 out, and the ranges of
//! `timestamp.proto` and `duration.proto`.

use super::Expected;
use crate::ink::Ink;

const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
/// 0001-01-01T00:00:00Z.
const MIN_SECONDS: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const MAX_SECONDS: i64 = 253_402_300_799;
/// 10,000 years; the conformance suite lets the nanoseconds go beyond.
const MAX_DURATION: i64 = 315_576_000_000;

const TIMESTAMP: &str = "expected a time as RFC 3339 writes it, such as `2026-01-31T09:30:00Z`";
const DURATION: &str = "expected seconds followed by `s`, such as `1.5s`";

/// Seconds since 1970 and nanoseconds of an RFC 3339 time.
pub(super) fn parse_timestamp(text: &str) -> Result<(i64, i32), Expected> {
    timestamp(text.as_bytes()).ok_or_else(|| TIMESTAMP.to_owned())
}

fn timestamp(text: &[u8]) -> Option<(i64, i32)> {
    let (bytes, rest) = text.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = bytes else {
        return None;
    };
    let two = |at: usize| {
        let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then(|| i64::from(tens * 10 + ones))
    };
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let valid = year >= 1
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 59;
    if !valid {
        return None;
    }
    let (nanos, zone) = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let end = fraction.iter().position(|byte| !byte.is_ascii_digit())?;
            (nanoseconds(&fraction[..end])?, &fraction[end..])
        }
        None => (0, rest),
    };
    let local = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let seconds = local - offset(zone)?;
    (MIN_SECONDS..=MAX_SECONDS).contains(&seconds).then_some((seconds, nanos))
}

/// `Z`, `+08:00`, `-11:30` in seconds east.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, time) = match zone {
        b"Z" => return Some(0),
        [b'+', time @ ..] => (1, time),
        [b'-', time @ ..] => (-1, time),
        _ => return None,
    };
    let [_, _, b':', _, _] = time else {
        return None;
    };
    let (hours, minutes) = (digits(&time[..2])?, digits(&time[3..])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Seconds and nanoseconds of `1.5s`, both of one sign.
pub(super) fn parse_duration(text: &str) -> Result<(i64, i32), Expected> {
    duration(text).ok_or_else(|| DURATION.to_owned())
}

fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number),
    };
    let (seconds, nanos) = match number.split_once('.') {
        Some((seconds, fraction)) => (digits(seconds.as_bytes())?, nanoseconds(fraction.as_bytes())?),
        None => (digits(number.as_bytes())?, 0),
    };
    (seconds <= MAX_DURATION).then_some((sign * seconds, sign as i32 * nanos))
}

/// One to nine digits after the point.
fn nanoseconds(fraction: &[u8]) -> Option<i32> {
    const SCALE: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    i32::try_from(digits(fraction)? * SCALE.get(fraction.len())?).ok()
}

/// At most eighteen digits, nothing else.
fn digits(text: &[u8]) -> Option<i64> {
    if !(1..=18).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + i64::from(digit))
    })
}

/// Appends the JSON string of a Timestamp; `None` if it is out of range.
pub(crate) fn render_timestamp(seconds: i64, nanos: i32, out: &mut Ink) -> Option<()> {
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    // Nothing is negative from here on.
    let shifted = (seconds + EPOCH * DAY) as u64;
    let (days, time) = ((shifted / DAY as u64) as u32, (shifted % DAY as u64) as u32);
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"\"0000-00-00T00:00:00";
    let mut write = |at: usize, value: u32| {
        text[at] += (value / 10) as u8;
        text[at + 1] += (value % 10) as u8;
    };
    write(1, year / 100);
    write(3, year % 100);
    write(6, month);
    write(9, day);
    write(12, time / 3600);
    write(15, time / 60 % 60);
    write(18, time % 60);
    out.extend_from_slice(&text);
    fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"Z\"");
    Some(())
}

/// Appends the JSON string of a Duration; `None` if it is out of range or its parts differ in sign.
pub(crate) fn render_duration(seconds: i64, nanos: i32, out: &mut Ink) -> Option<()> {
    let mixed = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
    let out_of_range = seconds.unsigned_abs() > MAX_DURATION.unsigned_abs() || nanos.unsigned_abs() >= 1_000_000_000;
    if mixed || out_of_range {
        return None;
    }
    out.extend_from_slice(if seconds < 0 || nanos < 0 { b"\"-" } else { b"\"" });
    out.extend_from_slice(itoa::Buffer::new().format(seconds.unsigned_abs()).as_bytes());
    fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"s\"");
    Some(())
}

/// Nothing, or a point with three, six or nine digits.
fn fraction(nanos: u32, out: &mut Ink) {
    if nanos == 0 {
        return;
    }
    let digits = if nanos.is_multiple_of(1_000_000) {
        3
    } else if nanos.is_multiple_of(1_000) {
        6
    } else {
        9
    };
    let (mut text, mut rest) = (*b".000000000", nanos);
    for place in (1..text.len()).rev() {
        text[place] += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[..=digits]);
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - EPOCH
}

/// Year, month and day of a day, counted from 0000-03-01; otherwise the inverse of [`days_from_civil`].
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u32::from(month <= 2), month, day)
}
