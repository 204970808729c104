//! Souk: live chat for a marketplace, Socket.IO and REST on Postgres.
//!
//! The modules in reading order; imports point upward in this list only (a test sees to it).

#![warn(clippy::pedantic)]
#![allow(clippy::module_name_repetitions, clippy::doc_markdown, clippy::missing_panics_doc)]

pub mod app;
pub mod auth;
pub mod chat;
pub mod config;
pub mod db;
pub mod domain;
pub mod error;
pub mod hub;
pub mod presence;
pub mod protocol;
pub mod rest;
pub mod socket;
