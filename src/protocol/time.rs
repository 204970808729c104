//! Times on the wire.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use serde::Serializer;

/// RFC 3339 in UTC with `Z` and milliseconds, as JavaScript's `toISOString` writes it.
pub fn rfc3339(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The same without allocating: a page of messages has a hundred times. `None` outside the years that have four digits.
fn four_digit_year(time: &DateTime<Utc>) -> Option<[u8; 24]> {
    // Once: asked for its year and the rest, a time with a zone finds its date each time.
    let time = time.naive_utc();
    let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999)?;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |mut value: u32, places: std::ops::Range<usize>| {
        for digit in text[places].iter_mut().rev() {
            // The remainder is below ten.
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(year, 0..4);
    put(time.month(), 5..7);
    put(time.day(), 8..10);
    put(time.hour(), 11..13);
    put(time.minute(), 14..16);
    // A leap second counts as milliseconds from 1,000 on.
    put(time.second() + time.nanosecond() / 1_000_000_000, 17..19);
    put(time.nanosecond() / 1_000_000 % 1000, 20..23);
    Some(text)
}

/// For `serialize_with`.
pub(super) fn time<S: Serializer>(value: &DateTime<Utc>, s: S) -> Result<S::Ok, S::Error> {
    match four_digit_year(value).as_ref().and_then(|text| std::str::from_utf8(text).ok()) {
        Some(text) => s.serialize_str(text),
        None => s.serialize_str(&rfc3339(value)),
    }
}

/// For `serialize_with`.
#[allow(clippy::ref_option)] // the shape serde's `serialize_with` asks for
pub(super) fn opt_time<S: Serializer>(value: &Option<DateTime<Utc>>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(t) => time(t, s),
        None => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeZone, Timelike, Utc};
    use proptest::prelude::*;
    use serde::Serialize;

    #[derive(Serialize)]
    struct At(#[serde(serialize_with = "super::time")] DateTime<Utc>);

    fn on_the_wire(time: DateTime<Utc>) -> String {
        serde_json::to_value(At(time)).unwrap().as_str().unwrap().to_owned()
    }

    proptest! {
        #[test]
        fn a_time_is_written_as_chrono_writes_it(seconds in -80_000_000_000_i64..300_000_000_000, nanos in 0_u32..1_000_000_000) {
            let time = Utc.timestamp_opt(seconds, nanos).unwrap();
            prop_assert_eq!(on_the_wire(time), super::rfc3339(&time));
        }
    }

    #[test]
    fn the_ends_of_four_digit_years_and_a_leap_second_are_written_as_chrono_writes_them() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let leap = at("2016-12-31T23:59:59Z").with_nanosecond(1_234_000_000).unwrap();
        for time in [
            at("0000-01-01T00:00:00Z"),
            at("9999-12-31T23:59:59.999999Z"),
            at("+10000-01-01T00:00:00Z"),
            at("-0001-12-31T23:59:59.999Z"),
            leap,
        ] {
            assert_eq!(on_the_wire(time), super::rfc3339(&time));
        }
    }
}
