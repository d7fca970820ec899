//! `smolvlm chat`: turn by turn.

mod input;
mod interrupt;
mod line;

pub use line::LineError;

use crate::args;
use crate::failure::Failure;
use crate::{answer, load, media};
use input::{Input, Read};
use interrupt::Interrupt;
use line::Line;
use smolvlm::{Chat, Content, Conversation, Error, ImageSource, Message, SamplingParams, SmolVlm, VideoSource};
use std::io::ErrorKind;
use std::path::Path;

/// Reads lines, answers messages and does what commands ask for, until the lines end. What goes wrong with one line is
/// told on stderr, and the next one is read.
pub fn run(args: &args::Chat) -> Result<(), Failure> {
    let system = args.system.as_deref().map(|text| Message::system().text(text));
    let mut history = Conversation::new(system.clone());
    if let Some(path) = &args.conversation {
        history.messages.extend(load::conversation(path)?.messages);
    }
    let model = args.model.load()?;
    let params = args.sampling.params(&model, true)?;
    if params.num_beams > 1 || params.num_return_sequences > 1 {
        return Err(Error::OneAnswer.into());
    }

    let mut input = Input::open().map_err(Failure::Input)?;
    let at_terminal = input.is_terminal();
    if at_terminal {
        eprintln!("/help lists commands, Ctrl-C ends an answer, Ctrl-D the chat");
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
    };
    loop {
        let outcome = match input.read() {
            Ok(Read::Line(line)) => match line::parse(&line) {
                Ok(Line::Quit) => return Ok(()),
                Ok(line) => session.follow(line),
                Err(error) => Err(error.into()),
            },
            Ok(Read::Interrupted) => {
                eprintln!("Ctrl-D or /quit ends the chat");
                Ok(())
            }
            Ok(Read::End) => return Ok(()),
            // The line is gone, those behind it are not.
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(Failure::Input(error)),
            Err(error) => return Err(Failure::Input(error)),
        };
        match outcome {
            Ok(()) => {}
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(failure) => eprintln!("smolvlm: {failure}"),
        }
    }
}

/// A chat and what the next message will need.
struct Session<'m> {
    model: &'m SmolVlm,
    chat: Chat<'m>,
    system: Option<Message>,
    /// Images and videos for the next message.
    attached: Vec<Content>,
    params: SamplingParams,
    interrupt: Interrupt,
    shows_timings: bool,
}

impl Session<'_> {
    fn follow(&mut self, line: Line) -> Result<(), Failure> {
        match line {
            Line::Empty | Line::Quit => Ok(()),
            Line::Say(text) => {
                self.interrupt.begin();
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
            Line::Save(path) => save(self.chat.history(), Path::new(&path)),
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
                eprintln!("{}", line::HELP);
                Ok(())
            }
        }
    }

    /// Sends a message with what is attached. If that fails the attachments are gone: they may be the cause.
    fn say(&mut self, text: String) -> Result<(), Failure> {
        let mut message = Message::user();
        message.content = std::mem::take(&mut self.attached);
        let stream = self.chat.stream(message.text(text), &self.params)?;
        self.interrupt.attach(stream.cancel_handle());
        let answer = answer::stream(stream)?;
        if self.shows_timings {
            answer.iter().for_each(|answer| answer::print_timings(self.model, answer));
        }
        Ok(())
    }

    /// All of them, or none if a file is not there.
    fn attach(&mut self, places: &[String], content: fn(&str) -> Content) -> Result<(), Failure> {
        let contents: Vec<Content> = places.iter().map(|place| content(place)).collect();
        contents.iter().try_for_each(must_exist)?;
        self.attached.extend(contents);
        Ok(())
    }
}

fn save(conversation: &Conversation, path: &Path) -> Result<(), Failure> {
    let failed = |message| Failure::Write { path: path.into(), message };
    let text = conversation.to_json().map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| failed(error.to_string()))
}

fn must_exist(content: &Content) -> Result<(), Failure> {
    match content {
        Content::Image(ImageSource::Path(path)) | Content::Video(VideoSource::Path(path)) => {
            std::fs::metadata(path).map(drop).map_err(|source| Failure::Read { path: path.clone(), source })
        }
        _ => Ok(()),
    }
}

/// Prints a message on stderr, in one line where its text is one.
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
    eprintln!("{}: {}", message.role, content.collect::<Vec<_>>().join(" "));
}
