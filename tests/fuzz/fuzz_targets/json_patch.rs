//! See `json_patch` in the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hardway_fuzz::json_patch(data));
