//! Times that the wire can write. Postgres has more: infinity, years with five digits, and years before Christ.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};

/// The first time: the start of the year 1.
pub fn first() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(1, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).map(|t| t.and_utc()).unwrap_or_default()
}

/// The last time: the end of the year 9999.
pub fn last() -> DateTime<Utc> {
    let end = |day: NaiveDate| day.and_hms_milli_opt(23, 59, 59, 999);
    NaiveDate::from_ymd_opt(9999, 12, 31).and_then(end).map(|t| t.and_utc()).unwrap_or_default()
}

/// Reads a time as Postgres writes it in JSON, as the nearest time that the wire can write.
fn read<E: serde::de::Error>(text: &str) -> Result<DateTime<Utc>, E> {
    match text.parse::<DateTime<Utc>>() {
        Ok(time) => Ok(time.clamp(first(), last())),
        Err(_) if text == "-infinity" || text.ends_with(" BC") => Ok(first()),
        // Infinity, or a year that has more than four digits.
        Err(_) if text == "infinity" || text.find('-').is_some_and(|end| end > 4) => Ok(last()),
        Err(e) => Err(E::custom(e)),
    }
}

/// For `deserialize_with`.
/// Fails for a text that is not a time.
pub fn from_postgres<'de, D: Deserializer<'de>>(input: D) -> Result<DateTime<Utc>, D::Error> {
    read(&String::deserialize(input)?)
}

/// For `deserialize_with`.
/// Fails for a value that is neither null nor a time.
pub fn opt_from_postgres<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    match Option::<String>::deserialize(input)? {
        Some(text) => read(&text).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_writes_into_json_becomes_a_time_of_the_wire() {
        let read = |text| super::read::<serde::de::value::Error>(text);
        assert_eq!(read("2026-01-02T03:04:05.678901+00:00").unwrap().timestamp_micros(), 1_767_323_045_678_901);
        for late in ["infinity", "10000-01-01T00:00:00+00:00", "294276-12-31T23:59:59.999999+00:00"] {
            assert_eq!(read(late).unwrap(), last(), "{late}");
        }
        for early in ["-infinity", "4714-11-24T00:00:00+00:00 BC", "0001-12-31T00:00:00+00:00 BC"] {
            assert_eq!(read(early).unwrap(), first(), "{early}");
        }
        assert!(read("yesterday").is_err());
    }
}
