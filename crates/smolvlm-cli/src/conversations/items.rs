//! Streaming splitter of a file into the JSON texts of its conversations: the file is never in memory as a whole, and
//! invalid JSON only affects its own item.

use std::io::{self, BufRead};

/// Maximum size of one conversation in bytes, which may contain images as base64.
const MAX_ITEM: usize = 512 << 20;

/// Maximum size in bytes of text that does not start with a bracket and thus is not a conversation.
const MAX_NON_JSON: usize = 1 << 16;

/// The text of a conversation and its position in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// JSON or invalid text; none if it is too long, which ends reading.
    pub text: Option<Vec<u8>>,
    /// Line of the file, from 1.
    pub line: usize,
    /// Bytes of that line before the item.
    pub column: usize,
}

/// The state of the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Start of the file: a list of conversations, one conversation, or the first of many.
    Start,
    /// Start of a file of rows: a list of any values, or the first of many.
    StartOfRows,
    /// In a list of conversations.
    List,
    /// After the first conversation, in a sequence of JSON values.
    Values,
    /// In JSONL, one conversation per line.
    Lines,
    /// At the end of an unclosed list.
    Unclosed,
    /// Done.
    End,
}

/// An iterator over the conversations of a file: a JSON list, concatenated JSON values, or one per line (JSONL).
pub struct Items<R> {
    reader: R,
    state: State,
    line: usize,
    column: usize,
}

impl<R: BufRead> Items<R> {
    /// Reads a file; `is_lines` means JSONL.
    pub fn new(reader: R, is_lines: bool) -> Self {
        Self { reader, state: if is_lines { State::Lines } else { State::Start }, line: 1, column: 0 }
    }

    /// Reads a file of rows, where a list is always a list of rows, or else JSONL.
    pub fn rows(reader: R) -> Self {
        Self { reader, state: State::StartOfRows, line: 1, column: 0 }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.reader.consume(1);
            (self.line, self.column) = if byte == b'\n' { (self.line + 1, 0) } else { (self.line, self.column + 1) };
        }
        Ok(byte)
    }

    /// Skips whitespace and returns the next byte without consuming it.
    fn peek_text(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                // Skips the UTF-8 byte order mark at the start.
                Some(0xef | 0xbb | 0xbf) if self.line == 1 && self.column < 3 => self.take()?,
                Some(byte) if byte.is_ascii_whitespace() => self.take()?,
                byte => return Ok(byte),
            };
        }
    }

    fn start(&self) -> Item {
        Item { text: Some(Vec::new()), line: self.line, column: self.column }
    }

    fn next_item(&mut self) -> io::Result<Option<Item>> {
        match (self.state, self.peek_text()?) {
            (State::End, _) | (State::Values | State::Lines | State::StartOfRows, None) => Ok(None),
            (State::StartOfRows, Some(b'[')) => {
                self.take()?;
                self.state = State::List;
                self.next_item()
            }
            (State::StartOfRows, Some(_)) => {
                self.state = State::Start;
                self.next_item()
            }
            (State::Lines, Some(_)) => self.read_line().map(Some),
            (State::Unclosed, _) => {
                self.state = State::End;
                Ok(Some(self.start()))
            }
            (State::Values, Some(_)) => {
                let item = self.start();
                self.read_value(item, Nesting::default()).map(Some)
            }
            (State::List, Some(b']')) => {
                self.take()?;
                self.state = State::Values;
                self.next_item()
            }
            (State::List, _) => self.read_list_item().map(Some),
            (State::Start, Some(b'[')) => {
                let mut item = self.start();
                item.push(self.take()?);
                while self.peek()?.is_some_and(|byte| byte.is_ascii_whitespace()) {
                    item.push(self.take()?);
                }
                match self.peek()? {
                    Some(b'{' | b']') | None => self.read_first(item, Nesting(vec![b'['])).map(Some),
                    Some(_) => {
                        self.state = State::List;
                        self.read_list_item().map(Some)
                    }
                }
            }
            (State::Start, _) => {
                let item = self.start();
                self.read_first(item, Nesting::default()).map(Some)
            }
        }
    }

    /// Reads the first value if the file is not a list of conversations. If it is a single line, the file is JSONL.
    fn read_first(&mut self, item: Item, nesting: Nesting) -> io::Result<Item> {
        let item = self.read_value(item, nesting)?;
        self.state = if self.line == item.line { State::Lines } else { State::Values };
        Ok(item)
    }

    /// Reads a value up to its closing bracket, or to the end of the line if it has no brackets.
    fn read_value(&mut self, mut item: Item, mut nesting: Nesting) -> io::Result<Item> {
        let mut quote = Quote::default();
        while item.text.is_some()
            && let Some(byte) = self.peek()?
        {
            if nesting.0.is_empty() && byte == b'\n' {
                break;
            }
            item.push(self.take()?);
            if !quote.holds(byte) && nesting.closes(byte) && nesting.0.is_empty() {
                break;
            }
        }
        Ok(item)
    }

    fn read_line(&mut self) -> io::Result<Item> {
        let mut item = self.start();
        while item.text.is_some() && self.peek()?.is_some_and(|byte| byte != b'\n') {
            item.push(self.take()?);
        }
        Ok(item)
    }

    /// Reads a list item up to the following comma, which is consumed, or to the bracket that closes the list.
    fn read_list_item(&mut self) -> io::Result<Item> {
        self.peek_text()?;
        let (mut item, mut nesting, mut quote) = (self.start(), Nesting::default(), Quote::default());
        while item.text.is_some() {
            match self.peek()? {
                None => {
                    // An incomplete item is an error of its own.
                    let is_whole = nesting.0.is_empty() && item.text.as_ref().is_none_or(|text| !text.is_empty());
                    self.state = if is_whole { State::Unclosed } else { State::End };
                    return Ok(item);
                }
                Some(byte) if quote.holds(byte) => {}
                Some(b',') if nesting.0.is_empty() => {
                    self.take()?;
                    return Ok(item);
                }
                Some(b']') if !nesting.0.contains(&b'[') => return Ok(item),
                Some(byte) => {
                    nesting.closes(byte);
                }
            }
            item.push(self.take()?);
        }
        Ok(item)
    }
}

impl<R: BufRead> Iterator for Items<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_item().transpose();
        if next.as_ref().is_some_and(|next| next.as_ref().map_or(true, |item| item.text.is_none())) {
            self.state = State::End;
        }
        next
    }
}

impl Item {
    fn push(&mut self, byte: Option<u8>) {
        let Some(text) = &mut self.text else { return };
        let limit = if matches!(text.first(), Some(b'[' | b'{')) { MAX_ITEM } else { MAX_NON_JSON };
        if text.len() < limit { text.extend(byte) } else { self.text = None }
    }
}

/// The stack of open brackets.
#[derive(Default)]
struct Nesting(Vec<u8>);

impl Nesting {
    /// Processes a byte outside of strings; whether it closes a bracket. Closing an outer bracket also closes unclosed
    /// inner ones.
    fn closes(&mut self, byte: u8) -> bool {
        let opening = match byte {
            b'[' | b'{' => {
                self.0.push(byte);
                return false;
            }
            b']' => b'[',
            b'}' => b'{',
            _ => return false,
        };
        let Some(index) = self.0.iter().rposition(|&open| open == opening) else { return false };
        self.0.truncate(index);
        true
    }
}

/// The state of a string literal.
#[derive(Default)]
struct Quote {
    is_open: bool,
    is_escaped: bool,
}

impl Quote {
    /// Processes a byte; whether it is part of a string. An unterminated string ends at the end of its line.
    fn holds(&mut self, byte: u8) -> bool {
        let was_open = self.is_open;
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = was_open,
            b'"' => self.is_open = !was_open,
            b'\n' => self.is_open = false,
            _ => {}
        }
        was_open || byte == b'"'
    }
}

#[cfg(test)]
mod tests {
    use super::Items;

    fn items(file: &str, is_lines: bool) -> Vec<String> {
        // One byte at a time, like a slow pipe.
        let reader = std::io::BufReader::with_capacity(1, file.as_bytes());
        let items = Items::new(reader, is_lines).map(|item| item.unwrap().text.unwrap());
        items.map(|text| String::from_utf8(text).unwrap().trim_end().to_owned()).collect()
    }

    #[test]
    fn all_file_layouts_are_split() {
        for (file, expected) in [
            ("", &[""][..]),
            ("[]", &["[]"]),
            (r#" [ {"a": "]"} ] "#, &[r#"[ {"a": "]"} ]"#]),
            ("\u{feff}[[{}], [{}]]", &["[{}]", "[{}]"]),
            ("[\n  [{\"a\": [\"x\\\"]\"]}],\n  [2]\n]\n", &["[{\"a\": [\"x\\\"]\"]}]", "[2]"]),
            ("[{}]\n\n[{}]\r\n{}\n", &["[{}]", "[{}]", "{}"]),
            ("[\n{}]\n[{\n}]{}", &["[\n{}]", "[{\n}]", "{}"]),
            ("42\n[1]", &["42", "[1]"]),
        ] {
            assert_eq!(items(file, false), expected, "{file:?}");
        }
        assert_eq!(items("[{\n[{}]\n\n  {}", true), ["[{", "[{}]", "{}"]);
    }

    #[test]
    fn lists_of_rows_are_split() {
        for (file, expected) in [
            ("", &[][..]),
            (" [] ", &[]),
            ("[{\"a\": [1]}, {}]", &["{\"a\": [1]}", "{}"]),
            ("{\n}\n{}", &["{\n}", "{}"]),
            ("{}\n{\n{}", &["{}", "{", "{}"]),
        ] {
            let items = Items::rows(file.as_bytes()).map(|item| item.unwrap().text.unwrap());
            let items: Vec<_> = items.map(|text| String::from_utf8(text).unwrap().trim_end().to_owned()).collect();
            assert_eq!(items, expected, "{file:?}");
        }
    }

    #[test]
    fn invalid_json_affects_only_its_own_item() {
        for (file, expected) in [
            ("[[{}], nonsense, [{}]]", &["[{}]", "nonsense", "[{}]"][..]),
            ("[[{}, [{}], [3]]", &["[{}, [{}], [3]]", ""]),
            ("[[{\"a\": [1, 2], [3]]", &["[{\"a\": [1, 2], [3]]", ""]),
            ("[[{\"a\": 1], [3]]", &["[{\"a\": 1]", "[3]"]),
            ("[[\"no end],\n [3]]", &["[\"no end],\n [3]]", ""]),
            ("[[1],, [2],]", &["[1]", "", "[2]"]),
            ("[[1], [2", &["[1]", "[2"]),
            ("[[1], [2]", &["[1]", "[2]", ""]),
            ("[[1],", &["[1]", ""]),
            ("[{}]\n[{\n{}]\n", &["[{}]", "[{", "{}]"]),
        ] {
            assert_eq!(items(file, false), expected, "{file:?}");
        }
    }

    #[test]
    fn endless_items_are_abandoned() {
        let endless = || std::io::BufReader::new(std::io::repeat(b'0'));
        for is_lines in [false, true] {
            let texts: Vec<_> = Items::new(endless(), is_lines).map(|item| item.unwrap().text).collect();
            assert_eq!(texts, [None]);
        }
        let list = std::io::Read::chain(&b"[[1], "[..], endless());
        let texts: Vec<_> = Items::new(list, false).map(|item| item.unwrap().text).collect();
        assert_eq!(texts, [Some(b"[1]".to_vec()), None]);
    }

    #[test]
    fn items_have_line_and_column() {
        let file = "[\n [1],\n   [2]]";
        let places = Items::new(file.as_bytes(), false).map(|item| item.map(|item| (item.line, item.column)));
        assert_eq!(places.collect::<Result<Vec<_>, _>>().unwrap(), [(2, 1), (3, 3)]);
    }
}
