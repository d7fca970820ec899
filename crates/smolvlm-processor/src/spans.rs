//! Spans of the assistant's text in a prompt, as marked by the chat template.

use std::ops::Range;

use crate::message::Conversation;

/// Two characters of a private-use plane that do not occur in the conversation.
pub(crate) fn span_marks(conversation: &Conversation) -> [char; 2] {
    let mut free =
        ('\u{f0002}'..='\u{ffffd}').filter(|c| conversation.message_with_text(c.encode_utf8(&mut [0; 4])).is_none());
    [free.next(), free.next()].map(Option::unwrap_or_default)
}

/// A text and the byte ranges of its marked spans.
pub(crate) type MarkedText = (String, Vec<Range<usize>>);

/// Removes the markers from a text and returns the byte ranges between them, ordered by start. Spans may nest.
pub(crate) fn cut_spans(text: &str, [start, end]: [char; 2]) -> MarkedText {
    let mut plain = String::with_capacity(text.len());
    let (mut spans, mut open) = (Vec::new(), Vec::new());
    for c in text.chars() {
        if c == start {
            open.push(spans.len());
            spans.push(plain.len()..plain.len());
        } else if c == end {
            if let Some(span) = open.pop().and_then(|index: usize| spans.get_mut(index)) {
                span.end = plain.len();
            }
        } else {
            plain.push(c);
        }
    }
    (plain, spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[test]
    fn spans_nest() {
        let (text, spans) = cut_spans("a(bé(c)d)(e)", ['(', ')']);
        assert_eq!(text, "abécde");
        assert_eq!(spans.iter().map(|span| &text[span.clone()]).collect::<Vec<_>>(), ["bécd", "c", "e"]);
    }

    #[test]
    fn span_marks_do_not_occur_in_the_text() {
        let conversation = Conversation::from(Message::user().text("\u{f0002}\u{f0004}"));
        assert_eq!(span_marks(&conversation), ['\u{f0003}', '\u{f0005}']);
    }
}
