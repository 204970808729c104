//! The book of uploaded files, and how many bytes of text each user has stored.

mod stored_bytes;
mod uploads;
