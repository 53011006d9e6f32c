//! See `pptp_fuzz::eap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::eap(data));
