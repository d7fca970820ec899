//! Ends a text before a stop string, and removes the leading space that models generate.

/// Passes text on, except for what may belong to a stop string.
#[derive(Debug)]
pub(crate) struct StopFilter {
    stops: Vec<String>,
    /// Text that may be the start of a stop string.
    held: String,
    stopped: bool,
    /// Whether only white space came so far and is to be removed.
    trims: bool,
}

impl StopFilter {
    pub(crate) fn new(stops: Vec<String>, trims: bool) -> Self {
        Self { stops, held: String::new(), stopped: false, trims }
    }

    /// Appends text; returns what can be sent, which may be empty.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            self.held.truncate(at);
            return self.flush();
        }
        let starts_stop = |&(at, _): &(usize, char)| {
            self.held.get(at..).is_some_and(|rest| self.stops.iter().any(|stop| stop.starts_with(rest)))
        };
        let kept = self.held.char_indices().find(starts_stop).map_or(self.held.len(), |(at, _)| at);
        let rest = self.held.split_off(kept);
        let text = self.flush();
        self.held = rest;
        text
    }

    /// Returns what was held back, at the end of the text.
    pub(crate) fn finish(&mut self) -> String {
        self.flush()
    }

    fn flush(&mut self) -> String {
        let text = std::mem::take(&mut self.held);
        if !self.trims {
            return text;
        }
        let trimmed = text.trim_start();
        self.trims = trimmed.is_empty();
        if trimmed.len() == text.len() { text } else { trimmed.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::StopFilter;

    fn filtered(stops: &[&str], trims: bool, parts: &[&str]) -> Vec<String> {
        let mut filter = StopFilter::new(stops.iter().map(|&stop| stop.to_owned()).collect(), trims);
        let mut sent: Vec<String> = parts.iter().map(|part| filter.push(part)).collect();
        sent.push(filter.finish());
        sent
    }

    #[test]
    fn text_ends_before_a_stop_string() {
        assert_eq!(filtered(&["END"], false, &["a E", "N", "D b"]), ["a ", "", "", ""]);
        assert_eq!(filtered(&["END"], false, &["a E", "N", "e"]), ["a ", "", "ENe", ""]);
        assert_eq!(filtered(&["END"], false, &["a EN"]), ["a ", "EN"]);
        assert_eq!(filtered(&["b", "ab"], false, &["xab"]), ["x", ""]);
        assert_eq!(filtered(&["aab"], false, &["aaa", "b"]), ["a", "", ""]);
        assert_eq!(filtered(&["日本"], false, &["日", "光", "日本"]), ["", "日光", "", ""]);
    }

    #[test]
    fn leading_space_is_removed() {
        assert_eq!(filtered(&[], true, &[" ", " A", " b"]), ["", "A", " b", ""]);
        assert_eq!(filtered(&[], false, &[" A"]), [" A", ""]);
        assert_eq!(filtered(&["\n"], true, &[" \n a"]), ["", ""]);
    }
}
