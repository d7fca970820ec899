//! Questions without an image.

use crate::color::Color;
use crate::fact::{Fact, sentence};
use crate::kind::Kind;
use crate::random::Random;
use crate::shape::Shape;

const NUMBERS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

const LETTERS: [&str; 26] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W",
    "X", "Y", "Z",
];

const OPPOSITES: [(&str, &str); 6] = [
    ("left", "right"),
    ("top", "bottom"),
    ("up", "down"),
    ("first", "last"),
    ("tallest", "shortest"),
    ("black", "white"),
];

const MIXTURES: [(&str, &str, &str); 5] = [
    ("red", "yellow", "orange"),
    ("red", "blue", "purple"),
    ("blue", "yellow", "green"),
    ("red", "white", "pink"),
    ("yellow", "red", "orange"),
];

/// One fact per question template.
pub(crate) fn facts(random: &mut Random) -> Vec<Fact> {
    let add = |forms, words: &[&str], answer: String| Fact::new(Kind::Text, forms, words, answer);
    let mut facts = Vec::with_capacity(12);

    let number = random.below(10);
    facts.push(add(
        &["What comes after {}?", "Which number comes after {}?"],
        &[NUMBERS[number]],
        sentence(NUMBERS[number + 1]),
    ));
    let number = random.between(1, 10);
    facts.push(add(
        &["What comes before {}?", "Which number comes before {}?"],
        &[NUMBERS[number]],
        sentence(NUMBERS[number - 1]),
    ));
    let letter = random.below(25);
    facts.push(add(&["Which letter comes after {}?"], &[LETTERS[letter]], LETTERS[letter + 1].to_owned()));
    let number = random.below(11);
    facts.push(add(&["Write {} as a number.", "Which number is {}?"], &[NUMBERS[number]], number.to_string()));

    let (a, b) = (random.below(6), random.below(5));
    facts.push(add(&["What is {} plus {}?"], &[&a.to_string(), &b.to_string()], (a + b).to_string()));
    facts.push(add(&["What is {} minus {}?"], &[&(a + b).to_string(), &b.to_string()], a.to_string()));
    let pair = random.choose(&[0_usize, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2);
    let words = [pair[0].to_string(), pair[1].to_string()];
    let more = pair[0].max(pair[1]).to_string();
    facts.push(add(&["Which is more, {} or {}?", "Which number is larger, {} or {}?"], &[&words[0], &words[1]], more));

    let (color, shape) = (random.pick(&Color::ALL).name(), random.pick(&Shape::ALL));
    let number = random.pick(&NUMBERS);
    let word = random.pick(&[color, shape.name(), number]);
    facts.push(add(&["Spell {}.", "How do you spell {}?"], &[word], spelled(word)));
    let answer = if matches!(shape, Shape::Circle | Shape::Ring) { "Yes." } else { "No." };
    facts.push(add(&["Is a {} round?"], &[shape.name()], answer.to_owned()));
    let answer = if random.percent(50) { (color, "A colour.") } else { (shape.name(), "A shape.") };
    facts.push(add(
        &["What is {}, a colour or a shape?", "Is {} a colour or a shape?"],
        &[answer.0],
        answer.1.to_owned(),
    ));
    if let Some(corners) = corners(shape) {
        facts.push(add(&["How many corners does a {} have?"], &[shape.name()], corners.to_owned()));
    }

    let (a, b) = random.pick(&OPPOSITES);
    let (word, answer) = if random.percent(50) { (a, b) } else { (b, a) };
    facts.push(add(&["What is the opposite of {}?"], &[word], sentence(answer)));
    let (a, b, mixture) = random.pick(&MIXTURES);
    facts.push(add(&["What colour do {} and {} make?"], &[a, b], sentence(mixture)));
    facts
}

/// Capital letters separated by spaces.
fn spelled(word: &str) -> String {
    let letters: Vec<String> = word.chars().map(|letter| letter.to_ascii_uppercase().to_string()).collect();
    letters.join(" ")
}

fn corners(shape: Shape) -> Option<&'static str> {
    match shape {
        Shape::Square | Shape::Diamond => Some("4"),
        Shape::Triangle => Some("3"),
        Shape::Circle | Shape::Ring => Some("0"),
        Shape::Star | Shape::Cross | Shape::Heart => None,
    }
}
