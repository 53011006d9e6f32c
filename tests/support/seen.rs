//! What a check said with `-o json`.

use std::process::Output;

use serde_json::Value;

/// What a check said.
pub(crate) struct Seen {
    pub(crate) json: Value,
    pub(crate) exit_code: i32,
}

impl Seen {
    pub(crate) fn new(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let json = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("no JSON ({error}): {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        Self { json, exit_code: output.status.code().unwrap_or(-1) }
    }

    pub(crate) fn word(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or("-")
    }

    pub(crate) fn fact(&self, key: &str) -> &str {
        self.json["facts"][key].as_str().unwrap_or("-")
    }

    pub(crate) fn verdict(&self) -> String {
        format!("{} {}/{}", self.word("state"), self.word("phase"), self.word("reason"))
    }

    /// The verdict, with the whole answer in the complaint.
    pub(crate) fn must_be(&self, row: &str, verdict: &str) {
        assert_eq!(self.verdict(), verdict, "{row}: {}", self.json);
        let code = match self.word("state") {
            "OK" => 0,
            "WARNING" => 1,
            "CRITICAL" => 2,
            _ => 3,
        };
        assert_eq!(self.exit_code, code, "{row}: {}", self.json);
    }
}
