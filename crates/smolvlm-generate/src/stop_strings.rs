//! Stop strings.

/// Detects whether a stop string ends inside the newest piece of a text, like the reference's `StopStringCriteria`
/// (transformers 5.24.0, generation/stopping_criteria.py).
///
/// Pieces are the bytes of single tokens, which may contain part of a character. A piece may contain more than the end
/// of the stop string, and a stop string may start anywhere before it, also in the prompt. Stop strings that ended in
/// an earlier piece or in the prompt are ignored.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    /// The last bytes of the text, fewer than the length of the longest stop string.
    tail: Vec<u8>,
}

impl StopStrings {
    /// Searches for any of `stops` after a prompt whose bytes end with `prompt_tail`. Empty strings are skipped.
    ///
    /// Of the prompt, only as many bytes are used as the longest stop string has.
    pub fn new(stops: &[String], prompt_tail: &[u8]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        let mut new = Self { stops, tail: prompt_tail.to_vec() };
        new.forget();
        new
    }

    /// Adds the bytes of the next token; returns whether a stop string ends inside them.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.tail.len();
        self.tail.extend_from_slice(bytes);
        let found = self.stops.iter().any(|stop| {
            // Matches from here on end after the old text.
            let from = (before + 1).saturating_sub(stop.len());
            self.tail.get(from..).is_some_and(|text| text.windows(stop.len()).any(|window| window == stop.as_bytes()))
        });
        self.forget();
        found
    }

    /// Marks a gap that no stop string may span, such as a token that is unknown to the tokenizer.
    pub fn interrupt(&mut self) {
        self.tail.clear();
    }

    fn forget(&mut self) {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        self.tail.drain(..self.tail.len().saturating_sub(longest.saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(stops: &[&str], prompt_tail: &str) -> StopStrings {
        StopStrings::new(&stops.iter().map(ToString::to_string).collect::<Vec<_>>(), prompt_tail.as_bytes())
    }

    /// The number of pieces after which a stop string is found.
    fn stopped_after(strings: &[&str], prompt_tail: &str, pieces: &[&str]) -> Option<usize> {
        let mut rule = stops(strings, prompt_tail);
        pieces.iter().position(|piece| rule.push(piece.as_bytes())).map(|index| index + 1)
    }

    #[test]
    fn pieces_longer_than_the_match_are_found() {
        for pieces in
            [&["st", "op"][..], &["stop"], &["st", "opera"], &["sto", "pper"], &["las", "topper"], &["s", "to", "pped"]]
        {
            assert_eq!(stopped_after(&["stop"], "", pieces), Some(pieces.len()), "{pieces:?}");
        }
        assert_eq!(stopped_after(&["stop"], "", &["unstoppable"]), Some(1));
        assert_eq!(stopped_after(&["stop"], "", &["sto", " p", "ot", "s"]), None);
    }

    #[test]
    fn earlier_matches_are_ignored() {
        assert_eq!(stopped_after(&["stop"], "stop", &["at", "op", ""]), None);
        let mut rule = stops(&["stop", "longer than that"], "");
        assert!(rule.push(b"stop"));
        assert!(!rule.push(b"at"));
        assert!(!rule.push(b""));
    }

    #[test]
    fn stop_string_may_start_in_the_prompt() {
        assert_eq!(stopped_after(&["\n\nUser:"], "text\n\nUs", &["er", ":"]), Some(2));
        assert_eq!(stopped_after(&["aa"], "a", &["a"]), Some(1));
    }

    #[test]
    fn any_of_several_stop_strings_matches() {
        assert_eq!(stopped_after(&["xyz", "b"], "", &["a", "xy", "b"]), Some(3));
        assert_eq!(stopped_after(&["xyz", "b"], "", &["xy", "z", "b"]), Some(2));
    }

    #[test]
    fn multibyte_characters_match() {
        assert_eq!(stopped_after(&["世界"], "你好世", &["", "界!"]), Some(2));
        assert_eq!(stopped_after(&["é"], "e", &["è", "é"]), Some(2));
    }

    #[test]
    fn characters_split_across_tokens_match() {
        let snowman = "\u{2603}".as_bytes();
        let mut rule = stops(&["\u{2603}", "."], "");
        assert_eq!(snowman.chunks(1).map(|part| rule.push(part)).collect::<Vec<_>>(), [false, false, true]);
        // A stop string is found even if the token continues with part of a character.
        assert!(rule.push(&[b'.', snowman[0]]));
        // Bytes that decode to U+FFFD do not match that character.
        let mut rule = stops(&["\u{fffd}"], "");
        assert!(!rule.push(&snowman[1..]) && !rule.push(b"x"));
    }

    #[test]
    fn stop_string_does_not_span_an_interruption() {
        let mut rule = stops(&["stop"], "");
        assert!(!rule.push(b"sto"));
        rule.interrupt();
        assert!(!rule.push(b"p") && rule.push(b"stop"));
    }

    #[test]
    fn empty_stop_strings_never_match() {
        assert_eq!(stopped_after(&[], "a", &["a", "b"]), None);
        assert_eq!(stopped_after(&[""], "a", &["a", "b"]), None);
    }

    #[test]
    fn tail_length_is_bounded() {
        let mut rule = stops(&["abc"], &"x".repeat(1000));
        assert_eq!(rule.tail.len(), 2);
        assert!(!rule.push(&[b'y'; 1000]));
        assert_eq!(rule.tail, b"yy");
    }
}
