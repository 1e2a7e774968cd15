//! The README's examples, run as tests: what a newcomer copies must work.

#[doc = include_str!("../../README.md")]
struct Readme;
