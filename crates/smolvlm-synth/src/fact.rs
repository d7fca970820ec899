//! Facts that questions ask for.

use crate::kind::Kind;
use crate::random::Random;
use crate::sample::Turn;

/// A fact with several question templates and one answer.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub kind: Kind,
    /// Question templates, each with one `{}` per element of `words`, in order.
    pub forms: &'static [&'static str],
    pub words: Vec<String>,
    pub answer: String,
    /// Index of the shape it is about in [`Scene::items`](crate::scene::Scene).
    pub subject: Option<usize>,
    /// Whether it is only asked in addition to other questions of a sample.
    pub secondary: bool,
}

impl Fact {
    pub fn new(kind: Kind, forms: &'static [&'static str], words: &[&str], answer: impl Into<String>) -> Self {
        Self {
            kind,
            forms,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            answer: answer.into(),
            subject: None,
            secondary: false,
        }
    }

    pub fn about(self, subject: usize) -> Self {
        Self { subject: Some(subject), ..self }
    }

    pub fn secondary(self) -> Self {
        Self { secondary: true, ..self }
    }

    /// Instantiates a random template.
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

/// Formats a word or phrase as a sentence.
pub(crate) fn sentence(phrase: &str) -> String {
    let mut text = String::with_capacity(phrase.len() + 1);
    let mut letters = phrase.chars();
    text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    text.push_str(letters.as_str());
    text.push('.');
    text
}
