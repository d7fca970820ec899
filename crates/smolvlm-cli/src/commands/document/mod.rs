//! `smolvlm document`: converts pages to a document.

mod pages;
mod pdf;
mod program;
mod target;

pub use pages::PageError;

use crate::args::{Document as Args, DocumentFormat};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::{answer, output, say};
use pages::Pages;
use smolvlm::image::Rgb;
use smolvlm::{ImageSource, LoopGuard, Message, SamplingParams, SmolVlm};
use smolvlm_doctags::{Document, PageSize};
use std::path::Path;
use std::sync::Arc;
use target::Target;

/// Maximum answer length of a page, in tokens, within the model's context.
const MAX_NEW_TOKENS: usize = 8192;

/// Minimum number of tokens of an endless repetition: tables with many empty rows repeat, too.
const MIN_LOOP_TOKENS: usize = 512;

/// Texts that end a page: of DocTags, and of models whose generation configuration lacks their end token.
const STOPS: [&str; 2] = ["</doctag>", "<|end_of_text|>"];

/// Converts one page after the other and writes the document at the end. If a page fails, the document has the pages
/// before it.
pub fn run(args: &Args) -> Result<(), Failure> {
    for (option, is_given) in [
        ("--num-return-sequences", args.sampling.num_return_sequences.is_some()),
        ("--logprobs", args.sampling.logprobs.is_some()),
    ] {
        if is_given {
            return Err(PageError::Unused { option }.into());
        }
    }
    let format = args.to.or_else(|| DocumentFormat::of_path(&args.out)).ok_or_else(|| Failure::Write {
        path: args.out.clone(),
        message: "the extension names no format; use --to md, html, json or doctags".to_owned(),
    })?;
    let mut inputs = Inputs::default();
    args.pages.iter().for_each(|page| inputs.add(Path::new(page)));
    if !Target::is_stdout(&args.out) {
        inputs.refuse(&args.out)?;
    }
    // Inputs and output are checked first: a document can take hours.
    output::discard_on_interrupt()?;
    let target = Target::create(&args.out)?;
    let mut pages = Pages::open(&args.pages, args.dpi, args.max_pages, &args.model.options().limits)?;
    args.model.check_takes_media()?;
    let model = args.model.load()?;
    let params = params(args, &model)?;
    if model.processor().tokenizer().token_to_id("<doctag>").is_none() {
        say::note("the checkpoint has no DocTags tokens: it is not a document model, such as granite-docling");
    }

    let mut document = Document::default();
    let converted = convert_all(&model, &mut pages, &args.prompt, &params, &mut document);
    let done = document.pages.len();
    if converted.is_ok() || done > 0 {
        target.write(&args.out, &write(&document, format, &args.out))?;
    }
    if converted.is_err() && done > 0 {
        say::note(format_args!("page {} of {} failed; the document ends before it", done + 1, pages.total()));
    }
    converted
}

/// Converts the pages and adds them to the document, up to the first one that fails.
fn convert_all(
    model: &SmolVlm,
    pages: &mut Pages,
    prompt: &str,
    params: &SamplingParams,
    document: &mut Document,
) -> Result<(), Failure> {
    while let Some(image) = pages.next(model.processor())? {
        let number = document.pages.len() + 1;
        say::progress(format_args!("page {number} of {}", pages.total()));
        document.pages.extend(convert(model, &image, prompt, params)?.pages);
    }
    Ok(())
}

/// The parameters of the arguments, with long answers that keep their tags.
fn params(args: &Args, model: &SmolVlm) -> Result<SamplingParams, Failure> {
    let mut params = args.sampling.params(model, true)?;
    if args.sampling.max_new_tokens.is_none() {
        params = params.max_new_tokens(MAX_NEW_TOKENS);
    }
    params.loop_guard = params.loop_guard.map(|guard| LoopGuard { min_tokens: MIN_LOOP_TOKENS, ..guard });
    params.skip_special_tokens = false;
    params.stop_strings.extend(STOPS.map(str::to_owned));
    Ok(params)
}

/// The document of one page.
fn convert(model: &SmolVlm, image: &Arc<Rgb>, prompt: &str, params: &SamplingParams) -> Result<Document, Failure> {
    let message = Message::user().image(ImageSource::from(image.clone())).text(prompt);
    let answer = model.generate(message, params.clone())?;
    answer::print_timings(model, &answer);
    let mut document = Document::from_doctags(answer.text());
    // An answer is one page, whatever it says.
    let parts = std::mem::take(&mut document.pages);
    let items = parts.into_iter().flat_map(|page| page.items).collect();
    let size = PageSize { width: image.width(), height: image.height() };
    document.pages.push(smolvlm_doctags::Page { size: Some(size), items });
    Ok(document)
}

fn write(document: &Document, format: DocumentFormat, path: &Path) -> String {
    match format {
        DocumentFormat::Md => document.to_markdown(),
        DocumentFormat::Html => document.to_html(),
        DocumentFormat::Json => {
            let name = if Target::is_stdout(path) { None } else { path.file_stem() };
            let name = name.unwrap_or("document".as_ref()).to_string_lossy();
            document.to_docling_json(&name)
        }
        DocumentFormat::Doctags => document.to_doctags() + "\n",
    }
}
