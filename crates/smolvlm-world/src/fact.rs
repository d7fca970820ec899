//! What can be asked.

use crate::kind::Kind;
use crate::random::Random;
use crate::sample::Turn;

/// Something true, with several ways to ask for it and one answer.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub kind: Kind,
    /// Ways to ask. Each has a `{}` for every one of `words`, in their order.
    pub forms: &'static [&'static str],
    pub words: Vec<String>,
    pub answer: String,
    /// The number of the shape that it is about, in [`Scene::items`](crate::scene::Scene).
    pub subject: Option<usize>,
    /// Asked beside others in a lesson, never alone.
    pub aside: bool,
}

impl Fact {
    pub fn new(kind: Kind, forms: &'static [&'static str], words: &[&str], answer: impl Into<String>) -> Self {
        Self {
            kind,
            forms,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            answer: answer.into(),
            subject: None,
            aside: false,
        }
    }

    pub fn about(self, subject: usize) -> Self {
        Self { subject: Some(subject), ..self }
    }

    pub fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    /// Asks in one of the ways.
    pub fn ask(self, random: &mut Random) -> Turn {
        let form = random.pick(self.forms);
        let mut question = String::with_capacity(form.len() + 24);
        for (index, part) in form.split("{}").enumerate() {
            if let Some(word) = index.checked_sub(1).and_then(|before| self.words.get(before)) {
                question.push_str(word);
            }
            question.push_str(part);
        }
        Turn { kind: self.kind, question, answer: self.answer }
    }
}

/// A word or phrase as a sentence.
pub(crate) fn sentence(phrase: &str) -> String {
    let mut text = String::with_capacity(phrase.len() + 1);
    let mut letters = phrase.chars();
    text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    text.push_str(letters.as_str());
    text.push('.');
    text
}
