//! See `pptp_fuzz::auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::auth(data));
