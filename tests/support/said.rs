//! What a program says while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Lines that can be waited for.
pub(crate) struct Said(Arc<(Mutex<String>, Condvar)>);

impl Said {
    /// Reads until the program ends.
    pub(crate) fn by(stream: impl Read + Send + 'static) -> Self {
        let said = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let shared = said.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let (text, changed) = &*shared;
                text.lock().expect("nobody panics").push_str(&String::from_utf8_lossy(&line));
                changed.notify_all();
                line.clear();
            }
        });
        Self(said)
    }

    /// Until it said `text` so often, all together.
    pub(crate) fn wait_for(&self, text: &str, times: usize, patience: Duration) -> String {
        let (said, changed) = &*self.0;
        let said = said.lock().expect("nobody panics");
        let few = |said: &mut String| said.matches(text).count() < times;
        let (said, waited) =
            changed.wait_timeout_while(said, patience, few).expect("nobody panics");
        let said = said.clone();
        assert!(!waited.timed_out(), "{times} of {text:?} in:\n{said}");
        said
    }
}
