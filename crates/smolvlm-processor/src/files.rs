//! Local files: `file:` URLs, and the folders to which a policy restricts access.

use std::path::{Path, PathBuf};

use crate::error::{Error, Position};
use crate::inline::percent_decode;

/// The path of a `file:///path` or `file://localhost/path` URL, percent-decoded.
pub(crate) fn file_path(url: &str, at: Position) -> Result<PathBuf, Error> {
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
                return Err(Error::url(url, at, "a file: URL cannot name another host"));
            }
            path
        }
        None => rest,
    };
    let path =
        String::from_utf8(percent_decode(path, url, at)?).map_err(|_| Error::url(url, at, "the path is not UTF-8"))?;
    if path.is_empty() || path.contains('\0') {
        return Err(Error::url(url, at, "the path is empty or holds a zero byte"));
    }
    // `file:///C:/x.png` names `C:/x.png`.
    let drive = cfg!(windows) && path.as_bytes().get(2) == Some(&b':');
    Ok(PathBuf::from(if drive { path.trim_start_matches('/') } else { path.as_str() }))
}

/// Canonicalizes a path (symbolic links and `..` resolved) and checks that it is inside one of the folders. A relative
/// path is tried in each folder.
///
/// A missing file and a file outside give the same error, so that the existence of files is not disclosed.
pub(crate) fn confined(path: &Path, folders: &[PathBuf], at: Position) -> Result<PathBuf, Error> {
    // A UNC path would be looked up on another machine.
    let text = path.to_string_lossy();
    let names_a_share = text.len() >= 2 && text.chars().take(2).all(|character| matches!(character, '/' | '\\'));
    let inside = |folder: &PathBuf| {
        let (root, target) = (folder.canonicalize().ok()?, folder.join(path).canonicalize().ok()?);
        target.starts_with(root).then_some(target)
    };
    let found = if names_a_share { None } else { folders.iter().find_map(inside) };
    let reason = || "there is no such file in the allowed folders".to_owned();
    found.ok_or_else(|| Error::NotAllowed { at, what: "the file".to_owned(), reason: reason() })
}

/// Removes file paths from an image error.
pub(crate) fn nameless_image(error: smolvlm_image::Error) -> smolvlm_image::Error {
    match error {
        smolvlm_image::Error::File { source, .. } => nameless_image(*source),
        smolvlm_image::Error::Io { source, .. } => smolvlm_image::Error::Io { path: "file".into(), source },
        other => other,
    }
}

/// Removes file paths from a video error.
pub(crate) fn nameless_video(error: smolvlm_video::Error) -> smolvlm_video::Error {
    match error {
        smolvlm_video::Error::File { source, .. } => nameless_video(*source),
        smolvlm_video::Error::Io { source, .. } => smolvlm_video::Error::Io { path: "file".into(), source },
        smolvlm_video::Error::Frame { index, source } => {
            smolvlm_video::Error::Frame { index, source: nameless_image(source) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::confined;
    use crate::error::Position;
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn files_outside_the_folders_are_rejected() {
        let top = tempfile::tempdir().unwrap();
        let media = top.path().join("media");
        fs::create_dir_all(media.join("sub")).unwrap();
        for file in ["media/a.png", "media/sub/b.png", "secret.png"] {
            fs::write(top.path().join(file), b"x").unwrap();
        }
        let run = |path: &Path| confined(path, &[PathBuf::from("/no/such"), media.clone()], Position::default());
        let inside = [media.join("a.png"), media.join("sub/../a.png"), "a.png".into(), "sub/b.png".into()];
        for path in inside {
            let found = run(&path).unwrap();
            assert!(found.starts_with(media.canonicalize().unwrap()), "{path:?}");
        }
        let outside = [
            top.path().join("secret.png"),
            media.join("../secret.png"),
            "../secret.png".into(),
            "sub/../../secret.png".into(),
            "missing.png".into(),
            "/etc/hostname".into(),
            format!("/{}", media.join("a.png").display()).into(),
            "\\\\host\\share\\a.png".into(),
            "//host/share/a.png".into(),
        ];
        let mut messages: Vec<String> = outside.iter().map(|path| run(path).unwrap_err().to_string()).collect();
        messages.dedup();
        assert_eq!(messages, ["the file is not allowed here: there is no such file in the allowed folders"]);
        assert!(confined(&media.join("a.png"), &[], Position::default()).is_err());
        // A sibling folder whose name has the same prefix.
        fs::create_dir(top.path().join("media2")).unwrap();
        fs::write(top.path().join("media2/c.png"), b"x").unwrap();
        assert!(run(&top.path().join("media2/c.png")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folders_are_rejected() {
        let top = tempfile::tempdir().unwrap();
        let media = top.path().join("media");
        fs::create_dir(&media).unwrap();
        fs::write(top.path().join("secret.png"), b"x").unwrap();
        fs::write(media.join("a.png"), b"x").unwrap();
        std::os::unix::fs::symlink(top.path().join("secret.png"), media.join("out.png")).unwrap();
        std::os::unix::fs::symlink(top.path(), media.join("up")).unwrap();
        std::os::unix::fs::symlink(media.join("a.png"), media.join("in.png")).unwrap();
        let run = |path: &str| confined(Path::new(path), std::slice::from_ref(&media), Position::default());
        assert!(run("in.png").is_ok() && run("up/media/a.png").is_ok());
        assert!(run("out.png").is_err() && run("up/secret.png").is_err());
    }
}
