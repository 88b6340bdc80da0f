//! Any text is a configuration or a report of mistakes that can be shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(mistakes) = portcullis::config::parse(text, None) {
        assert!(!mistakes.to_string().is_empty());
    }
});
