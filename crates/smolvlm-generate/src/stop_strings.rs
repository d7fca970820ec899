//! Texts that end a text.

/// Finds out whether a stop string ends inside the newest piece of a text, as the reference's `StopStringCriteria` has
/// it (transformers 5.24.0, generation/stopping_criteria.py).
///
/// Pieces are the bytes of single tokens, which may hold part of a character. A piece may hold more than the stop string's
/// end, and a stop string may begin anywhere before it, in the prompt too. One that ended in an earlier piece, or in the
/// prompt, does not count.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    /// The last bytes of the text, fewer than the longest stop string has.
    tail: Vec<u8>,
}

impl StopStrings {
    /// Looks for any of `stops` after a prompt whose bytes end with `prompt_tail`. Empty ones are passed over.
    ///
    /// Only as many bytes of the prompt are of use as the longest stop string has.
    pub fn new(stops: &[String], prompt_tail: &[u8]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        let mut new = Self { stops, tail: prompt_tail.to_vec() };
        new.forget();
        new
    }

    /// Takes the bytes of the next token in; says whether a stop string ends inside them.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.tail.len();
        self.tail.extend_from_slice(bytes);
        let found = self.stops.iter().any(|stop| {
            // From here on, a match ends behind the old text.
            let from = (before + 1).saturating_sub(stop.len());
            self.tail.get(from..).is_some_and(|text| text.windows(stop.len()).any(|window| window == stop.as_bytes()))
        });
        self.forget();
        found
    }

    /// Goes on behind something that no stop string reaches across, such as a token that the tokenizer does not know.
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

    /// The number of pieces after which a stop string ended.
    fn stopped_after(strings: &[&str], prompt_tail: &str, pieces: &[&str]) -> Option<usize> {
        let mut rule = stops(strings, prompt_tail);
        pieces.iter().position(|piece| rule.push(piece.as_bytes())).map(|place| place + 1)
    }

    #[test]
    fn overhanging_pieces_match() {
        for pieces in
            [&["st", "op"][..], &["stop"], &["st", "opera"], &["sto", "pper"], &["las", "topper"], &["s", "to", "pped"]]
        {
            assert_eq!(stopped_after(&["stop"], "", pieces), Some(pieces.len()), "{pieces:?}");
        }
        assert_eq!(stopped_after(&["stop"], "", &["unstoppable"]), Some(1));
        assert_eq!(stopped_after(&["stop"], "", &["sto", " p", "ot", "s"]), None);
    }

    #[test]
    fn an_earlier_end_does_not_count() {
        assert_eq!(stopped_after(&["stop"], "stop", &["at", "op", ""]), None);
        let mut rule = stops(&["stop", "longer than that"], "");
        assert!(rule.push(b"stop"));
        assert!(!rule.push(b"at"));
        assert!(!rule.push(b""));
    }

    #[test]
    fn the_prompt_counts() {
        assert_eq!(stopped_after(&["\n\nUser:"], "text\n\nUs", &["er", ":"]), Some(2));
        assert_eq!(stopped_after(&["aa"], "a", &["a"]), Some(1));
    }

    #[test]
    fn any_of_several_counts() {
        assert_eq!(stopped_after(&["xyz", "b"], "", &["a", "xy", "b"]), Some(3));
        assert_eq!(stopped_after(&["xyz", "b"], "", &["xy", "z", "b"]), Some(2));
    }

    #[test]
    fn characters_of_several_bytes_are_fine() {
        assert_eq!(stopped_after(&["世界"], "你好世", &["", "界!"]), Some(2));
        assert_eq!(stopped_after(&["é"], "e", &["è", "é"]), Some(2));
    }

    #[test]
    fn a_character_may_come_in_parts() {
        let snowman = "\u{2603}".as_bytes();
        let mut rule = stops(&["\u{2603}", "."], "");
        assert_eq!(snowman.chunks(1).map(|part| rule.push(part)).collect::<Vec<_>>(), [false, false, true]);
        // The end of a stop string counts although the token goes on with part of a character.
        assert!(rule.push(&[b'.', snowman[0]]));
        // What decodes to a replacement character is not one.
        let mut rule = stops(&["\u{fffd}"], "");
        assert!(!rule.push(&snowman[1..]) && !rule.push(b"x"));
    }

    #[test]
    fn nothing_reaches_across_an_interruption() {
        let mut rule = stops(&["stop"], "");
        assert!(!rule.push(b"sto"));
        rule.interrupt();
        assert!(!rule.push(b"p") && rule.push(b"stop"));
    }

    #[test]
    fn nothing_to_look_for_is_never_found() {
        assert_eq!(stopped_after(&[], "a", &["a", "b"]), None);
        assert_eq!(stopped_after(&[""], "a", &["a", "b"]), None);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut rule = stops(&["abc"], &"x".repeat(1000));
        assert_eq!(rule.tail.len(), 2);
        assert!(!rule.push(&[b'y'; 1000]));
        assert_eq!(rule.tail, b"yy");
    }
}
