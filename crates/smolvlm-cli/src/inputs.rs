//! Input files of a command, which its output must not overwrite.

use crate::failure::Failure;
use smolvlm::{Content, Conversation, ImageSource, VideoSource};
use smolvlm_files::is_same_file;
use std::path::{Path, PathBuf};

/// Input files of a command, and folders of input files.
#[derive(Debug, Default)]
pub struct Inputs(Vec<PathBuf>);

impl Inputs {
    /// Adds a file or folder.
    pub fn add(&mut self, path: &Path) {
        self.0.push(path.to_owned());
    }

    /// Adds the images and videos of a conversation.
    pub fn add_media(&mut self, conversation: &Conversation) {
        for message in &conversation.messages {
            self.add_contents(&message.content);
        }
    }

    /// Adds the images and videos of one message.
    pub fn add_contents(&mut self, contents: &[Content]) {
        for content in contents {
            match content {
                Content::Image(image) => self.0.extend(image.local_path()),
                Content::Video(VideoSource::Frames(frames)) => {
                    self.0.extend(frames.images.iter().filter_map(ImageSource::local_path));
                }
                Content::Video(video) => self.0.extend(video.local_path()),
                _ => {}
            }
        }
    }

    /// Rejects an output path that is one of the input files.
    ///
    /// # Errors
    ///
    /// [`Failure::OutputIsInput`].
    pub fn refuse(&self, output: &Path) -> Result<(), Failure> {
        if self.0.iter().any(|input| is_same_file(input, output) || holds(input, output)) {
            return Err(Failure::OutputIsInput { path: output.to_owned() });
        }
        Ok(())
    }
}

/// Whether a folder contains a file.
fn holds(folder: &Path, file: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| is_same_file(&entry.path(), file))
}

#[cfg(test)]
mod tests {
    use super::Inputs;
    use smolvlm::{Conversation, Message};
    use std::fs;

    #[test]
    fn inputs_are_recognized_through_links_and_urls() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("frames")).unwrap();
        for name in ["a.png", "frames/1.png", "other", "url with blank.png"] {
            fs::write(at(name), name).unwrap();
        }
        fs::hard_link(at("a.png"), at("hard")).unwrap();
        let url = format!("file://{}", at("url%20with%20blank.png").display());
        let message = Message::user().image(at("a.png")).image(url.as_str()).video(at("frames"));
        let mut inputs = Inputs::default();
        inputs.add_media(&Conversation::from(message));
        let refused = |name: &str| inputs.refuse(&at(name)).is_err();
        assert!(refused("a.png") && refused("hard") && refused("frames/1.png") && refused("frames/../a.png"));
        assert!(refused("url with blank.png"));
        assert!(!refused("other") && !refused("new") && !refused("frames/2.png"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("frames/1.png"), at("soft")).unwrap();
            assert!(refused("soft"));
        }
    }
}
