//! Bodies that came packed, as Express takes them: gzip and deflate.

use std::io::{self, Read};

use axum::{
    body::Bytes,
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::errors;

/// Why a packed body is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Packed in a way that is not known.
    Encoding,
    /// Too large once unpacked.
    TooLarge,
    /// Not packed as it says.
    Broken,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Encoding => errors::unknown_encoding(),
            Self::TooLarge => errors::too_large(),
            Self::Broken => errors::invalid_json(),
        }
    }
}

/// Unpacks a body as its `Content-Encoding` says. No more than `max` bytes are unpacked.
pub fn unpacked(body: Bytes, encoding: Option<&HeaderValue>, max: usize) -> Result<Bytes, Refused> {
    let Some(encoding) = encoding else { return Ok(body) };
    match encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(body),
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(&body[..]), max),
        "deflate" => read(ZlibDecoder::new(&body[..]), max),
        _ => Err(Refused::Encoding),
    }
}

fn read(decoder: impl Read, max: usize) -> Result<Bytes, Refused> {
    let mut unpacked = Vec::new();
    let read: io::Result<usize> = decoder.take(max as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|_| Refused::Broken)?;
    if unpacked.len() > max { Err(Refused::TooLarge) } else { Ok(unpacked.into()) }
}
