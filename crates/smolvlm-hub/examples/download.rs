//! Fetches a checkpoint and prints its folder: `download owner/name [revision]`, with the variables of the crate's
//! page.

use smolvlm_hub::{Event, HubError, download};
use std::ops::ControlFlow;

fn main() -> Result<(), HubError> {
    let mut arguments = std::env::args().skip(1);
    let repo = arguments.next().unwrap_or_else(|| "HuggingFaceTB/SmolVLM2-256M-Video-Instruct".to_owned());
    let revision = arguments.next();
    let folder = download(&repo, revision.as_deref(), &mut |event| {
        match event {
            Event::Progress { file, done, total } if done == total => eprintln!("{file}: {total} bytes"),
            Event::Note(text) => eprintln!("note: {text}"),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    println!("{}", folder.display());
    Ok(())
}
