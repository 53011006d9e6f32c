//! See `pptp_fuzz::ppp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::ppp(data));
