//! Times as Postgres holds them, read as the nearest that the wire can write. sqlx's own reading of `infinity` panics.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueFormat, PgValueRef},
};

use crate::domain::time::{first, last};

/// A `timestamptz`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) DateTime<Utc>);

/// Postgres counts microseconds from the year 2000 on.
const EPOCH_SECONDS: i64 = 946_684_800;

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Ok(Self(<DateTime<Utc> as Decode<Postgres>>::decode(value)?));
        }
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        let epoch = DateTime::from_timestamp(EPOCH_SECONDS, 0).unwrap_or_default();
        let exact = epoch.checked_add_signed(TimeDelta::microseconds(micros));
        let nearest = if micros < 0 { first() } else { last() };
        Ok(Self(exact.map_or(nearest, |time| time.clamp(first(), last()))))
    }
}

impl From<Time> for DateTime<Utc> {
    fn from(time: Time) -> Self {
        time.0
    }
}
