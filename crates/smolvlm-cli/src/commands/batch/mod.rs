//! `smolvlm batch`: answers every row of a data set.

mod answerer;
mod cell;
mod conversation;
mod error;
mod input;
mod output;
mod permits;
mod progress;
mod row;
mod run;
mod settings;
mod template;

pub use error::BatchError;

use crate::args::{Batch, Format};
use crate::failure::Failure;
use crate::output::{INTERRUPTED, write_failure};
use crate::say;
use answerer::ModelAnswerer;
use conversation::{PATH, Recipe};
use input::{Input, Kind};
use output::{Parts, check_manifest, lock_manifest, lock_shard};
use progress::Progress;
use run::{Run, Summary};
use smolvlm::Cancel;
use template::Template;

/// The column of conversations, unless columns make the conversation.
const MESSAGES_COLUMN: &str = "messages";

/// Answers the rows that are not answered yet, and prints a summary to stderr.
pub fn run(args: &Batch) -> Result<(), Failure> {
    let input = Input::open(&args.input)?;
    let recipe = recipe(args, input.kind())?;
    let format = format(args, input.kind())?;
    let columns: Vec<String> = match input.kind() {
        Kind::Media => Vec::new(),
        _ => recipe.columns().into_iter().chain(args.id_column.as_deref()).map(str::to_owned).collect(),
    };
    input.check_columns(&columns)?;
    let parts = Parts {
        folder: args.out.clone(),
        shard: args.shard,
        format,
        rows: args.rows_per_part.into(),
        id_type: input.id_type(args.id_column.as_deref())?,
    };
    std::fs::create_dir_all(&args.out).map_err(|error| write_failure(&args.out, error))?;
    let _shard_lock = lock_shard(&args.out, args.shard)?;
    let mut options = args.model.options();
    // As in `describe`, control tokens in texts of data are plain text.
    options.sanitize_control_tokens |= matches!(recipe, Recipe::Columns { .. });
    let model = args.model.load_with(options)?;
    let params = args.sampling.params(&model, false)?;
    if params.num_return_sequences > 1 || params.logprobs.is_some() {
        let message =
            "batch writes one text per row, without log-probabilities: omit --num-return-sequences and --logprobs";
        return Err(BatchError::Arguments(message.to_owned()).into());
    }
    let settings = settings::settings(args, &input, &recipe, format, &model, &params)?;
    {
        let _manifest_lock = lock_manifest(&args.out)?;
        check_manifest(&args.out, settings)?;
    }
    let interrupt = Cancel::new();
    let stop = interrupt.child();
    stop_on_interrupt(&interrupt)?;
    let answerer = ModelAnswerer::new(&model, &stop, params, recipe, args.id_column.clone());
    let run = Run {
        input: &input,
        columns: &columns,
        parts: &parts,
        answerer: &answerer,
        in_flight: args.in_flight.into(),
        stop: &stop,
    };
    let mut progress = Progress::new();
    let summary = run.run(&mut progress)?;
    say::progress(describe(&summary, &progress));
    if interrupt.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    let failed = summary.failed + summary.earlier_failed > 0;
    if args.fail_on_error && failed { Err(Failure::Reported) } else { Ok(()) }
}

/// How rows become conversations.
fn recipe(args: &Batch, kind: Kind) -> Result<Recipe, Failure> {
    let wrong = |message: String| Failure::from(BatchError::Arguments(message));
    let prompt: Option<Template> = match &args.prompt {
        Some(prompt) => Some(prompt.parse().map_err(|error| wrong(format!("--prompt: {error}")))?),
        None => None,
    };
    let (images, videos) = (args.image_column.clone(), args.video_column.clone());
    if kind == Kind::Media {
        let has_columns = !images.is_empty() || !videos.is_empty() || args.messages_column.is_some();
        if has_columns || args.id_column.is_some() {
            return Err(wrong(
                "files have no columns: omit --image-column, --video-column, --messages-column and --id-column"
                    .to_owned(),
            ));
        }
        if let Some(other) = prompt.iter().flat_map(Template::columns).find(|column| *column != PATH) {
            return Err(wrong(format!("--prompt: files have no column '{other}', only {{{PATH}}}")));
        }
        return Ok(Recipe::Columns { images, videos, prompt });
    }
    if prompt.is_none() && images.is_empty() && videos.is_empty() {
        let column = args.messages_column.as_deref().unwrap_or(MESSAGES_COLUMN);
        return Ok(Recipe::Messages { column: column.to_owned() });
    }
    let recipe = Recipe::Columns { images, videos, prompt };
    if recipe.columns().is_empty() {
        let message =
            "all rows would be asked the same: give --image-column or --video-column, or use a {column} in --prompt";
        return Err(wrong(message.to_owned()));
    }
    Ok(recipe)
}

/// The format of the output.
fn format(args: &Batch, kind: Kind) -> Result<Format, Failure> {
    let format = args.format.unwrap_or(if kind == Kind::Parquet { Format::Parquet } else { Format::Jsonl });
    if format == Format::Parquet && cfg!(not(feature = "parquet")) {
        let message = "this build lacks the feature `parquet`; use --format jsonl".to_owned();
        return Err(BatchError::Arguments(message).into());
    }
    Ok(format)
}

/// Installs a Ctrl-C handler that stops the run, or at the second time the process. Answers are safe either way.
fn stop_on_interrupt(interrupt: &Cancel) -> Result<(), Failure> {
    let interrupt = interrupt.clone();
    let end = move || {
        if interrupt.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        interrupt.cancel();
    };
    ctrlc::set_handler(end).map_err(Failure::Signal)
}

fn describe(summary: &Summary, progress: &Progress) -> String {
    let Summary { earlier_rows, earlier_failed, .. } = *summary;
    match (earlier_rows, earlier_failed) {
        (0, _) => progress.text(),
        (rows, 0) => format!("{}; {rows} rows were answered before", progress.text()),
        (rows, failed) => format!("{}; {rows} rows were answered before, of which {failed} failed", progress.text()),
    }
}
