//! Progress of downloads.

use crate::say;
use indicatif::{ProgressBar, ProgressStyle};
use smolvlm::Progress;

/// Shows downloads as a progress bar if stderr is a terminal, and prints notes to stderr.
pub fn download_bar() -> impl FnMut(Progress<'_>) {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let mut current: Option<(String, ProgressBar)> = None;
    move |progress| match progress {
        Progress::Download { file, done, total } => {
            let same = current.as_ref().is_some_and(|(shown, _)| shown == file);
            if !same {
                let bar = ProgressBar::new(total).with_style(style.clone());
                current = Some((file.to_owned(), bar.with_message(file.to_owned())));
            }
            if let Some((_, bar)) = &current {
                bar.set_position(done);
                if done >= total {
                    bar.finish();
                }
            }
        }
        Progress::Note(text) => say::note(text),
        _ => {}
    }
}
