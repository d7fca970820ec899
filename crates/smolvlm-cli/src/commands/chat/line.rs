//! Parsing of chat lines.

/// The output of `/help`.
pub const HELP: &str = "\
/image PATH...  attach images to the next message; quote spaces in paths or escape them with a backslash
/video PATH...  attach videos to the next message
/system TEXT    add a system message
/history        show the conversation
/save FILE      save the conversation as JSON, for `chat` and `generate --conversation`
/reset          clear the conversation, except for --system
/quit           end the chat, like Ctrl-D
Any other line is sent to the model, and so is a line that starts with a space.";

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A blank line.
    Empty,
    /// A message to the model.
    Say(String),
    /// Images for the next message.
    Images(Vec<String>),
    /// Videos for the next message.
    Videos(Vec<String>),
    /// A system message.
    System(String),
    /// Write the history to a file.
    Save(String),
    /// Show the history.
    History,
    /// Clear the history.
    Reset,
    /// Show the commands.
    Help,
    /// End the chat.
    Quit,
}

/// Errors of chat commands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// An unknown command.
    #[error("unknown command {0}; /help lists all commands, a leading space sends the line to the model")]
    Unknown(String),
    /// A command with missing or extra arguments.
    #[error("{command} needs {needed}")]
    Arguments {
        /// The command.
        command: &'static str,
        /// The expected arguments.
        needed: &'static str,
    },
    /// An unclosed quote.
    #[error("unclosed quote: {0}")]
    Quote(String),
}

/// Parses a line.
pub fn parse(line: &str) -> Result<Line, LineError> {
    let text = line.trim();
    if text.is_empty() || !line.starts_with('/') {
        return Ok(if text.is_empty() { Line::Empty } else { Line::Say(text.to_owned()) });
    }
    let (command, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim_start();
    match command {
        "/image" => Ok(Line::Images(paths("/image", rest)?)),
        "/video" => Ok(Line::Videos(paths("/video", rest)?)),
        "/system" if rest.is_empty() => Err(LineError::Arguments { command: "/system", needed: "a text" }),
        "/system" => Ok(Line::System(rest.to_owned())),
        "/save" => match <[String; 1]>::try_from(words(rest)?) {
            Ok([path]) => Ok(Line::Save(path)),
            Err(_) => Err(LineError::Arguments { command: "/save", needed: "one path" }),
        },
        "/history" => Ok(Line::History),
        "/reset" => Ok(Line::Reset),
        "/help" => Ok(Line::Help),
        "/quit" => Ok(Line::Quit),
        _ => Err(LineError::Unknown(command.to_owned())),
    }
}

fn paths(command: &'static str, text: &str) -> Result<Vec<String>, LineError> {
    let paths = words(text)?;
    if paths.is_empty() { Err(LineError::Arguments { command, needed: "one path or more" }) } else { Ok(paths) }
}

/// Splits text into words like a shell: quotes group characters, a backslash escapes the next character, `~/` is the
/// home folder. A backslash before a letter or digit, and any backslash on Windows, is part of a path.
fn words(text: &str) -> Result<Vec<String>, LineError> {
    let escapes = |next: Option<&char>| !cfg!(windows) && next.is_some_and(|next| !next.is_alphanumeric());
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '\\') if escapes(characters.peek()) => word.get_or_insert_default().extend(characters.next()),
            (Some('"'), '\\') if matches!(characters.peek(), Some('"' | '\\')) && !cfg!(windows) => {
                word.get_or_insert_default().extend(characters.next());
            }
            (None, '~') if word.is_none() && is_home(characters.peek()) => {
                word =
                    Some(std::env::home_dir().map_or_else(|| "~".into(), |home| home.to_string_lossy().into_owned()));
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(LineError::Quote(text.to_owned()));
    }
    words.extend(word);
    Ok(words)
}

/// Whether a tilde followed by this character is the home folder.
fn is_home(next: Option<&char>) -> bool {
    next.is_none_or(|&next| std::path::is_separator(next) || next.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_parse_as_messages_or_commands() {
        for (line, meaning) in [
            ("", Line::Empty),
            ("  \t", Line::Empty),
            (" What is this? ", Line::Say("What is this?".into())),
            (" /etc is a folder", Line::Say("/etc is a folder".into())),
            ("/image a.png  b.png", Line::Images(strings(&["a.png", "b.png"]))),
            ("/image \"my photo.jpg\" 'it''s'.png", Line::Images(strings(&["my photo.jpg", "its.png"]))),
            (r"/video C:\clips\a.mp4", Line::Videos(strings(&[r"C:\clips\a.mp4"]))),
            ("/image 'my ~/photo.jpg' a~ ~b/c", Line::Images(strings(&["my ~/photo.jpg", "a~", "~b/c"]))),
            ("/system Be brief, don't fuss.", Line::System("Be brief, don't fuss.".into())),
            ("/save 'a b.json'", Line::Save("a b.json".into())),
            ("/history", Line::History),
            ("/reset ", Line::Reset),
            ("/help", Line::Help),
            ("/quit", Line::Quit),
        ] {
            assert_eq!(parse(line), Ok(meaning), "{line:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn backslashes_and_tildes_follow_shell_rules() {
        let home = std::env::home_dir().unwrap().to_string_lossy().into_owned();
        for (line, path) in [
            (r"/image my\ photo.jpg", "my photo.jpg".to_owned()),
            (r"/image my\ photo\ \(1\)\&.jpg", "my photo (1)&.jpg".to_owned()),
            (r"/image it\'s.jpg", "it's.jpg".to_owned()),
            (r"/image 'it'\''s a.jpg'", "it's a.jpg".to_owned()),
            (r#"/image "a \"b\" c.jpg""#, "a \"b\" c.jpg".to_owned()),
            (r"/image a\\b.jpg", r"a\b.jpg".to_owned()),
            ("/image ~/x.jpg", format!("{home}/x.jpg")),
            (r"/image ~/my\ x.jpg", format!("{home}/my x.jpg")),
            ("/image '~/x.jpg'", "~/x.jpg".to_owned()),
            ("/image ~", home.clone()),
        ] {
            assert_eq!(parse(line), Ok(Line::Images(vec![path])), "{line}");
        }
    }

    #[test]
    fn invalid_commands_are_errors() {
        for (line, why) in [
            ("/imag a.png", "/imag"),
            ("/", "unknown command /"),
            ("/image", "/image needs"),
            ("/video ", "/video needs"),
            ("/system", "/system needs"),
            ("/save", "/save needs"),
            ("/save a b", "/save needs one path"),
            ("/image 'a b", "quote"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{line:?}: {error}");
        }
    }
}
