//! Reading a request's body: no more than its limit, and counted as its sender's while it comes.

use std::{error::Error as StdError, io::Read, iter::successors};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures::StreamExt as _;
use http_body_util::LengthLimitError;

use super::errors::{self, refusal};
use crate::{
    error::Error,
    limits::{HeldBytes, Over},
};

/// When to try again where others' bodies take all the room.
const RETRY_AFTER_MS: u64 = 1000;
/// Bytes that are unpacked before they are counted.
const PIECE: usize = 16 << 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Longer than it may be, packed or unpacked.
    TooLarge,
    /// Too many bytes of bodies are on their way.
    NoRoom(Over),
    /// Packed in a way that is not known.
    Encoding,
    /// Not packed as it says.
    Packing,
    Broken,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::TooLarge => errors::plain(StatusCode::PAYLOAD_TOO_LARGE),
            Self::NoRoom(Over::Owner) => refusal(Error::RateLimited { retry_after_ms: RETRY_AFTER_MS }),
            Self::NoRoom(Over::All) => refusal(Error::Busy),
            Self::Encoding => errors::unknown_encoding(),
            Self::Packing => errors::invalid_json(),
            Self::Broken => errors::plain(StatusCode::BAD_REQUEST),
        }
    }
}

pub async fn read(body: Body, max: usize, held: &mut HeldBytes) -> Result<Bytes, Refused> {
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(Refused::TooLarge);
    }
    let mut frames = body.into_data_stream();
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = frames.next().await {
        let bytes = frame.map_err(|e| if is_length_limit(&e) { Refused::TooLarge } else { Refused::Broken })?;
        if first.len() + rest.len() + bytes.len() > max {
            return Err(Refused::TooLarge);
        }
        held.add(bytes.len()).map_err(Refused::NoRoom)?;
        if first.is_empty() {
            first = bytes;
        } else {
            rest.extend_from_slice(&bytes);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    // One copy for most bodies of several pieces.
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

/// True if a limit on the length is among the causes: axum finds it only where nothing else is around it.
pub fn is_length_limit(e: &(dyn StdError + 'static)) -> bool {
    let mut causes = successors(Some(e), |&cause| cause.source());
    causes.any(<dyn StdError + 'static>::is::<LengthLimitError>)
}

/// Unpacks a body as its `Content-Encoding` says. No more than `max` bytes are unpacked, and they are counted too.
pub fn unpack(body: Bytes, encoding: Option<&HeaderValue>, max: usize, held: &mut HeldBytes) -> Result<Bytes, Refused> {
    let Some(encoding) = encoding else { return Ok(body) };
    match encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(body),
        "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(&body[..]), max, held),
        "deflate" => inflate(ZlibDecoder::new(&body[..]), max, held),
        _ => Err(Refused::Encoding),
    }
}

fn inflate(mut decoder: impl Read, max: usize, held: &mut HeldBytes) -> Result<Bytes, Refused> {
    let mut unpacked = Vec::new();
    loop {
        let before = unpacked.len();
        let piece = PIECE.min(max + 1 - before);
        decoder.by_ref().take(piece as u64).read_to_end(&mut unpacked).map_err(|_| Refused::Packing)?;
        if unpacked.len() > max {
            return Err(Refused::TooLarge);
        }
        if unpacked.len() == before {
            return Ok(unpacked.into());
        }
        held.add(unpacked.len() - before).map_err(Refused::NoRoom)?;
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::limits::{ByteBudget, Owner};

    fn body(pieces: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(pieces.iter().copied().map(Ok::<_, std::io::Error>).collect::<Vec<_>>()))
    }

    async fn read_of(pieces: &[&'static str], max: usize, room: usize) -> Result<Bytes, Refused> {
        let mut held = ByteBudget::new(0, room).share(Owner::Address(None));
        read(body(pieces), max, &mut held).await
    }

    #[tokio::test]
    async fn a_body_is_read_in_whatever_pieces_it_comes() {
        for pieces in [&["abc"][..], &["", "a", "b", "c"], &["a", "bc"]] {
            assert_eq!(read_of(pieces, 3, 3).await, Ok(Bytes::from("abc")), "{pieces:?}");
        }
        assert_eq!(read_of(&[], 3, 3).await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn no_more_is_read_than_there_may_be_or_than_there_is_room_for() {
        assert_eq!(read_of(&["ab", "cd"], 3, 9).await, Err(Refused::TooLarge));
        assert_eq!(read_of(&["ab", "cd"], 9, 3).await, Err(Refused::NoRoom(Over::All)));
    }

    #[test]
    fn what_is_unpacked_is_counted_as_well() {
        let content = vec![b' '; 100_000];
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gz, &content).unwrap();
        let packed = Bytes::from(gz.finish().unwrap());
        let gzip = HeaderValue::from_static("gzip");
        let unpacked = |max: usize, room: usize| {
            let mut held = ByteBudget::new(0, room).share(Owner::Address(None));
            unpack(packed.clone(), Some(&gzip), max, &mut held)
        };
        assert_eq!(unpacked(100_000, 100_000), Ok(content.into()));
        assert_eq!(unpacked(100_000, 99_999), Err(Refused::NoRoom(Over::All)));
        assert_eq!(unpacked(99_999, 100_000), Err(Refused::TooLarge));
    }
}
