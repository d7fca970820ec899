//! The files of a data set: one file, a folder of images and videos, or the matches of a glob pattern.

use super::{Kind, read_failure};
use crate::commands::batch::error::BatchError;
use crate::failure::Failure;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The files of a data set.
#[derive(Debug)]
pub struct Files {
    source: Source,
    kind: Kind,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Folder(PathBuf),
    Pattern(Pattern),
}

/// A file of a data set.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its path in the data set, with forward slashes.
    pub name: String,
}

type Listing<'a> = Box<dyn Iterator<Item = Result<Found, Failure>> + 'a>;

impl Files {
    /// Detects what a path means, and the kind of its files.
    pub fn open(path: &Path) -> Result<(Self, Kind), Failure> {
        let wrong = |message: &str| BatchError::Input { path: path.to_owned(), message: message.to_owned() };
        let unknown = "is neither JSONL, Parquet, an image nor a video by its name";
        let (source, kind) = match (std::fs::metadata(path), path.to_str()) {
            (Ok(metadata), _) if metadata.is_dir() => (Source::Folder(path.to_owned()), Kind::Media),
            (Ok(_), _) => (Source::File(path.to_owned()), Kind::of(path).ok_or_else(|| wrong(unknown))?),
            (Err(_), Some(pattern)) if pattern.contains(['*', '?', '[']) => {
                let pattern = Pattern::new(pattern)?;
                let Found { path: first, .. } = pattern.list().next().ok_or_else(|| wrong("matches no file"))??;
                let kind = Kind::of(&first);
                let kind = kind.ok_or_else(|| wrong(&format!("matches {}, which {unknown}", first.display())))?;
                (Source::Pattern(pattern), kind)
            }
            (Err(source), _) => return Err(read_failure(path, source)),
        };
        Ok((Self { source, kind }, kind))
    }

    /// Lists the files, sorted within each folder. Only the names in one folder, and in those above it, are in memory.
    pub fn list(&self) -> Listing<'_> {
        match &self.source {
            Source::File(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Box::new(std::iter::once(Ok(Found { path: path.clone(), name })))
            }
            Source::Folder(folder) => {
                let is_medium = |found: &Found| Kind::of(&found.path) == Some(Kind::Media);
                Box::new(Walk::new(folder, usize::MAX).filter(move |found| found.as_ref().map_or(true, is_medium)))
            }
            Source::Pattern(pattern) => Box::new(pattern.list().map(|found| self.same_kind(found?))),
        }
    }

    /// A file that matches the pattern, which must be of the same kind as the others.
    fn same_kind(&self, found: Found) -> Result<Found, Failure> {
        if Kind::of(&found.path) == Some(self.kind) {
            return Ok(found);
        }
        let message = "is not of the same kind as the other files of the pattern".to_owned();
        Err(BatchError::Input { path: found.path, message }.into())
    }
}

/// A glob pattern of files.
#[derive(Debug)]
struct Pattern {
    pattern: glob::Pattern,
    /// The folder before the first wildcard.
    base: PathBuf,
    /// Number of levels of folders that can match.
    depth: usize,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, Failure> {
        let (mut base, mut pattern) = (PathBuf::new(), PathBuf::new());
        let mut depth: usize = 0;
        for component in Path::new(text).components() {
            let name = component.as_os_str();
            if depth > 0 || name.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte)) {
                depth = if name == "**" { usize::MAX } else { depth.saturating_add(1) };
            } else {
                base.push(component);
            }
            pattern.push(component);
        }
        let pattern = glob::Pattern::new(&pattern.to_string_lossy()).map_err(|error| {
            let message = format!("is neither a file nor a pattern: {}", error.msg);
            BatchError::Input { path: text.into(), message }
        })?;
        Ok(Self { pattern, base, depth })
    }

    /// The files that match, but no hidden ones.
    fn list(&self) -> impl Iterator<Item = Result<Found, Failure>> {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let matches = move |found: &Found| self.pattern.matches_path_with(&found.path, options);
        Walk::new(&self.base, self.depth).filter(move |found| found.as_ref().map_or(true, matches))
    }
}

/// A relative path with forward slashes.
fn slashed(path: &Path) -> String {
    let parts = path.components().filter(|component| *component != Component::CurDir);
    parts.map(|component| component.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The files in a folder and in the folders below, without hidden ones and links to folders.
struct Walk {
    root: PathBuf,
    /// Number of levels of folders.
    depth: usize,
    /// Names that are left in each open folder, last first, with the path of the folder relative to the root.
    open: Vec<(PathBuf, Vec<OsString>)>,
    start: Option<PathBuf>,
}

impl Walk {
    fn new(root: &Path, depth: usize) -> Self {
        Self { root: root.to_owned(), depth, open: Vec::new(), start: Some(PathBuf::new()) }
    }

    /// Lists a folder.
    fn enter(&mut self, relative: PathBuf) -> Result<(), Failure> {
        let path = self.root.join(&relative);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        let failed = |source| read_failure(path, source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                names.push(name);
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        self.open.push((relative, names));
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<Found, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.start.take()
            && let Err(failure) = self.enter(start)
        {
            return Some(Err(failure));
        }
        loop {
            let level = self.open.len();
            let (folder, names) = self.open.last_mut()?;
            let Some(name) = names.pop() else {
                self.open.pop();
                continue;
            };
            let relative = folder.join(name);
            let path = self.root.join(&relative);
            // Links to folders may be circular.
            let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
            match path.is_dir() {
                true if is_link || level >= self.depth => {}
                true => {
                    if let Err(failure) = self.enter(relative) {
                        return Some(Err(failure));
                    }
                }
                false => return Some(Ok(Found { path, name: slashed(&relative) })),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, Kind};
    use std::fs;
    use std::path::Path;

    fn names(path: &Path) -> Result<Vec<String>, String> {
        let (files, _) = Files::open(path).map_err(|failure| failure.to_string())?;
        let names = files.list().map(|found| found.map(|found| found.name).map_err(|failure| failure.to_string()));
        names.collect()
    }

    #[test]
    fn folders_are_listed_in_order_without_what_is_no_medium() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for folder in ["b", "b/c", ".hidden", "z.jpg"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for name in ["c.PNG", "a.jpg", "b/2.webp", "b/c/1.gif", "b/10.jpg", "notes.txt", ".x.jpg", ".hidden/a.jpg"] {
            fs::write(at(name), "").unwrap();
        }
        fs::write(at("z.jpg/in.mp4"), "").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("b"), at("b/loop")).unwrap();
            std::os::unix::fs::symlink(at("a.jpg"), at("link.jpg")).unwrap();
        }
        let mut expected = vec!["a.jpg", "b/10.jpg", "b/2.webp", "b/c/1.gif", "c.PNG", "link.jpg", "z.jpg/in.mp4"];
        if cfg!(not(unix)) {
            expected.retain(|name| *name != "link.jpg");
        }
        assert_eq!(names(folder.path()).unwrap(), expected);
        assert_eq!(names(&at("**/[0-9]*.*")).unwrap(), ["b/10.jpg", "b/2.webp", "b/c/1.gif"]);
        assert_eq!(names(&at("b/*.jpg")).unwrap(), ["10.jpg"]);
        assert_eq!(names(&at("?/*.???[fp]")).unwrap(), ["b/2.webp"]);
        assert_eq!(names(&at("b/*/*")).unwrap(), ["c/1.gif"]);
    }

    #[test]
    fn patterns_have_a_base_and_a_depth() {
        for (text, base, depth) in [
            ("*.jsonl", "", 1),
            ("./a/b*/c.png", "./a", 2),
            ("/a//b/*/x/[0-9].png", "/a/b", 3),
            ("a/**/*.png", "a", usize::MAX),
        ] {
            let pattern = super::Pattern::new(text).ok().unwrap();
            assert_eq!((pattern.base.as_path(), pattern.depth), (Path::new(base), depth), "{text}");
        }
    }

    #[test]
    fn paths_without_a_data_set_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["notes.txt", "a.jsonl", "b.parquet"] {
            fs::write(at(name), "").unwrap();
        }
        assert!(names(&at("nowhere.jsonl")).unwrap_err().contains("nowhere.jsonl"));
        assert!(names(&at("*.png")).unwrap_err().contains("matches no file"));
        assert!(names(&at("a**")).unwrap_err().contains("pattern"));
        for neither in ["notes.txt", "*.txt"] {
            assert!(names(&at(neither)).unwrap_err().contains("neither JSONL"), "{neither}");
        }
        assert!(names(&at("[ab].*")).unwrap_err().contains("same kind"));
        assert_eq!(Files::open(&at("a.jsonl")).unwrap().1, Kind::Json);
        assert_eq!(Files::open(&at("b.parquet")).unwrap().1, Kind::Parquet);
    }
}
