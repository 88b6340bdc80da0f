//! The record: what happened, appended before it goes on.
