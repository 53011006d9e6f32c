//! See `pptp_fuzz::chap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::chap(data));
