//! See `pptp_fuzz::radius_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::radius_client(data));
