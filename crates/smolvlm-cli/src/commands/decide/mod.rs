//! `smolvlm decide`: answers questions with probabilities.

mod fit;

pub use fit::LabelError;

use crate::args::Decide;
use crate::failure::Failure;
use crate::{answer, media, say};
use smolvlm::{
    Calibration, Conversation, DecideOptions, Decision, Decisions, Message, OptionScore, Options, Question, SmolVlm,
};

/// Maximum number of answers to a question in the table.
const SHOWN: usize = 5;

/// Probability of all answers together below which a note says so.
const LOW_COVERAGE: f64 = 0.5;

/// Prints the probabilities of the answers to all questions, or fits a calibration.
pub fn run(args: &Decide) -> Result<(), Failure> {
    let options = Options { sanitize_control_tokens: true, ..args.model.options() };
    if let (Some(labels), Some(calibration)) = (&args.fit, &args.calibration) {
        return fit::run(labels, calibration, |has_media| {
            if has_media {
                args.model.check_takes_media()?;
            }
            args.model.load_with(options)
        });
    }
    // Everything that can be wrong without the model, first.
    let questions = args.questions();
    Question::validate(&questions)?;
    let calibration = args.calibration.as_deref().map_or(Ok(Calibration::default()), Calibration::load)?;
    if !args.media.is_empty() {
        args.model.check_takes_media()?;
    }
    let piped = media::read_pipes(&args.media, args.as_video)?;
    let model = args.model.load_with(options)?;
    let mut message = Message::user();
    message.content = media::contents(&args.media, piped, args.as_video, model.processor())?;
    let conversation = if message.content.is_empty() { Conversation::default() } else { message.into() };
    let options = DecideOptions { calibration };
    let answers = model.decide(conversation, &questions, &options)?;
    media::print_notes(&answers.notes);
    for decision in &answers.decisions {
        let text = if args.json { as_json(decision)? } else { in_lines(decision) };
        answer::to_stdout(&text)?;
        if decision.coverage < LOW_COVERAGE {
            say::note(format_args!(
                "'{}': the listed answers have a total probability of only {}; rephrase the question or the options",
                decision.question,
                percent(decision.coverage).trim()
            ));
        }
    }
    print_timings(&model, &answers);
    Ok(())
}

fn as_json(decision: &Decision) -> Result<String, Failure> {
    let json = serde_json::to_string(decision).map_err(std::io::Error::from)?;
    Ok(format!("{json}\n"))
}

/// The question, then its most likely answers.
fn in_lines(decision: &Decision) -> String {
    let mut options: Vec<&OptionScore> = decision.options.iter().collect();
    options.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let shown = &options[..options.len().min(SHOWN)];
    let width = shown.iter().map(|option| option.option.chars().count()).max().unwrap_or(0);
    let lines = shown.iter().map(|option| format!("  {:width$}  {}\n", option.option, percent(option.probability)));
    let rest: f64 = options.iter().skip(SHOWN).map(|option| option.probability).sum();
    let others = match options.len() - shown.len() {
        0 => String::new(),
        count => format!("  {:width$}  {}\n", format!("{count} others"), percent(rest)),
    };
    let mean = decision.expected.map_or_else(String::new, |mean| format!("  mean {mean:.2}\n"));
    format!("{}\n{}{others}{mean}", decision.question, lines.collect::<String>())
}

fn percent(probability: f64) -> String {
    format!("{:5.1} %", 100.0 * probability)
}

fn print_timings(model: &SmolVlm, answers: &Decisions) {
    let timings = &answers.timings;
    let [process, vision, prefill, decode] = [timings.process, timings.vision, timings.prefill, timings.decode];
    say::line(format_args!(
        "{} prompt tokens ({} cached); process {process:.2?}, vision {vision:.2?}, prefill {prefill:.2?}, \
         questions {decode:.2?}; {}",
        answers.prompt_tokens,
        answers.cached_tokens,
        model.format(),
    ));
}
