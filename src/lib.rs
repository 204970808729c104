//! Souk: live chat for a marketplace, Socket.IO and REST on Postgres.
//!
//! The modules in reading order; imports point upward in this list only (a test checks it).

#![warn(clippy::pedantic)]
#![allow(clippy::module_name_repetitions, clippy::doc_markdown, clippy::missing_panics_doc)]
// Meant for libraries that others call.
#![allow(clippy::missing_errors_doc, clippy::must_use_candidate, clippy::return_self_not_must_use)]

pub mod config;

pub mod error;

pub mod clock;

pub mod domain;

pub mod protocol;

pub mod auth;

pub mod pid;

pub mod limits;

pub mod db;

pub mod storage;

pub mod hub;

pub mod chat;

pub mod socket;

pub mod rest;

pub mod app;
