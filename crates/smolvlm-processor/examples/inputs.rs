//! Prints the model inputs of a conversation: `inputs CONVERSATION.json [CHECKPOINT]`. Without a checkpoint folder, a
//! synthetic tokenizer shows the layout of the prompt; its words have other ids and lengths than the released ones.

use smolvlm_processor::{Conversation, Preset, Processor, RenderOptions, synthetic_tokenizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let conversation = args.next().ok_or("usage: inputs CONVERSATION.json [CHECKPOINT]")?;
    let processor = match args.next() {
        Some(folder) => Processor::from_directory(folder.as_ref())?,
        None => Processor::new(Preset::Smol256M.processor(), synthetic_tokenizer(49_280)?, None)?,
    };

    let conversation = Conversation::from_json(&std::fs::read_to_string(conversation)?)?;
    let options = RenderOptions::answer();
    println!("{}", processor.render(&conversation, &options)?);

    // Known from the headers of the media.
    let estimate = processor.estimate(&conversation, &options)?;
    println!(
        "{} tokens, {} of them for {} tiles of {} pixels",
        estimate.prompt_tokens, estimate.image_tokens, estimate.tiles, estimate.edge
    );

    let batch = processor.process(&[conversation], &options)?;
    for media in batch.all_media() {
        println!("{} tiles, {} pixel values", media.tiles(), media.pixels().len());
    }
    for note in batch.notes(0) {
        println!("note: {note}");
    }
    Ok(())
}
