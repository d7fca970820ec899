//! `smolvlm chat`: interactive chat.

mod input;
mod interrupt;
mod line;

pub use line::LineError;

use crate::args;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::{answer, load, media, say};
use input::{Input, Read};
use interrupt::Interrupt;
use line::Line;
use smolvlm::{Chat, Content, Conversation, Error, ImageSource, Message, SamplingParams, SmolVlm, VideoSource};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Reads lines until the end of input, answers messages and executes commands. Failures of single lines are printed to
/// stderr; with input from a pipe, they make the command fail at the end.
pub fn run(args: &args::Chat) -> Result<(), Failure> {
    let system = args.system.as_deref().map(|text| Message::system().text(text));
    let mut history = Conversation::new(system.clone());
    if let Some(path) = &args.conversation {
        history.messages.extend(load::conversation(path)?.messages);
    }
    let model = args.model.load()?;
    let params = args.sampling.params(&model, true)?;
    if !params.is_streamable() {
        return Err(Error::SingleAnswerOnly.into());
    }

    let mut input = Input::open().map_err(Failure::Input)?;
    let at_terminal = input.is_terminal();
    if at_terminal {
        say::line("/help lists commands, Ctrl-C stops an answer, Ctrl-D ends the chat");
    }
    let interrupt = Interrupt::install(at_terminal).map_err(Failure::Signal)?;
    let shows_timings = at_terminal || args.timings;
    let mut session = Session {
        model: &model,
        chat: model.start_chat(history),
        system,
        attached: Vec::new(),
        params,
        interrupt,
        shows_timings,
        stdout_error: None,
    };
    let mut has_failed = false;
    loop {
        let outcome = match input.read() {
            Ok(Read::Line(line)) => match line::parse(&line) {
                Ok(Line::Quit) => break,
                Ok(line) => session.execute(line),
                Err(error) => Err(error.into()),
            },
            Ok(Read::Interrupted) => {
                say::line("Ctrl-D or /quit ends the chat");
                Ok(())
            }
            Ok(Read::End) => break,
            // The line is skipped, the following ones are not.
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(Failure::Input(error)),
            Err(error) => return Err(Failure::Input(error)),
        };
        if let Err(failure) = outcome {
            has_failed = true;
            match failure {
                Failure::Model(Error::PromptTooLong { .. }) => {
                    say::error(format_args!("{failure}; /reset clears the conversation"));
                }
                failure => say::error(failure),
            }
        }
    }
    match session.stdout_error {
        _ if has_failed && !at_terminal => Err(Failure::Reported),
        Some(error) => Err(Failure::Output(error)),
        None => Ok(()),
    }
}

/// A chat with the state for the next message.
struct Session<'m> {
    model: &'m SmolVlm,
    chat: Chat,
    system: Option<Message>,
    /// Images and videos for the next message.
    attached: Vec<Content>,
    params: SamplingParams,
    interrupt: Interrupt,
    shows_timings: bool,
    /// The first error of writing to stdout. Answers continue without it, for `/save`.
    stdout_error: Option<io::Error>,
}

impl Session<'_> {
    fn execute(&mut self, line: Line) -> Result<(), Failure> {
        match line {
            Line::Empty | Line::Quit => Ok(()),
            Line::Say(text) => {
                self.chat.set_cancel(self.interrupt.begin());
                let outcome = self.say(text);
                self.interrupt.end();
                outcome
            }
            Line::Images(paths) => self.attach(&paths, media::image),
            Line::Videos(paths) => self.attach(&paths, media::video),
            Line::System(text) => {
                self.chat.push(Message::system().text(text));
                Ok(())
            }
            Line::Save(path) => self.save(Path::new(&path)),
            Line::History => {
                self.chat.history().messages.iter().for_each(show);
                Ok(())
            }
            Line::Reset => {
                self.attached.clear();
                self.chat.reset();
                self.system.iter().for_each(|system| self.chat.push(system.clone()));
                Ok(())
            }
            Line::Help => {
                say::line(line::HELP);
                Ok(())
            }
        }
    }

    /// Sends a message with the attachments. If that fails, they are dropped, as they may be the cause.
    fn say(&mut self, text: String) -> Result<(), Failure> {
        let mut message = Message::user();
        message.content = std::mem::take(&mut self.attached);
        let stream = self.chat.stream(message.text(text), &self.params)?;
        let stdout_error = &mut self.stdout_error;
        let mut write = |text: &str| {
            if stdout_error.is_none() {
                *stdout_error = answer::to_stdout(text).err();
            }
            Ok(())
        };
        let answer = answer::stream_to(&mut write, stream)?;
        if self.shows_timings {
            answer.iter().for_each(|answer| answer::print_timings(self.model, answer));
        }
        Ok(())
    }

    /// Attaches all files, or none if one is missing.
    fn attach(&mut self, places: &[String], content: fn(&str) -> Content) -> Result<(), Failure> {
        let contents: Vec<Content> = places.iter().map(|place| content(place)).collect();
        contents.iter().try_for_each(must_exist)?;
        self.attached.extend(contents);
        Ok(())
    }

    /// Writes the conversation; rejects paths of the model's files and of images and videos in the conversation or
    /// attached to the next message.
    fn save(&self, path: &Path) -> Result<(), Failure> {
        let mut inputs = Inputs::default();
        self.model.files().iter().for_each(|file| inputs.add(file));
        inputs.add_media(self.chat.history());
        inputs.add_contents(&self.attached);
        inputs.refuse(path)?;
        let failed = |message| Failure::Write { path: path.into(), message };
        let text = self.chat.history().to_json().map_err(|error| failed(error.to_string()))?;
        smolvlm_files::write(path, text).map_err(|error| failed(error.to_string()))
    }
}

fn must_exist(content: &Content) -> Result<(), Failure> {
    match content {
        Content::Image(ImageSource::Path(path)) | Content::Video(VideoSource::Path(path)) => {
            std::fs::metadata(path).map(drop).map_err(|source| Failure::Read { path: path.clone(), source })
        }
        _ => Ok(()),
    }
}

/// Prints a message to stderr, on one line if its text is one line.
fn show(message: &Message) {
    let content = message.content.iter().map(|content| match content {
        Content::Text(text) => text.clone(),
        Content::Image(ImageSource::Path(path)) | Content::Video(VideoSource::Path(path)) => {
            format!("[{}]", path.display())
        }
        Content::Image(source) => format!("[{source:?}]"),
        Content::Video(source) => format!("[{source:?}]"),
        _ => "[image or video]".to_owned(),
    });
    say::line(format_args!("{}: {}", message.role, content.collect::<Vec<_>>().join(" ")));
}
