//! `smolvlm document`: formats, pages, PDF files with and without poppler.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use support::{Workspace, harbour, test_file};

const SETTINGS: [&str; 4] = ["--random", "tiny", "--max-new-tokens", "4"];

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("a.jpg", &harbour());
    workspace.write("b.png", &test_file("golden/media/portrait.png"));
    workspace
}

fn read(workspace: &Workspace, name: &str) -> String {
    fs::read_to_string(workspace.path(name)).unwrap()
}

/// Stderr of a successful run.
fn stderr(output: Output) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[test]
fn pages_become_one_document_in_the_format_of_the_extension() {
    let workspace = workspace();
    let run =
        |out: &str| stderr(workspace.run(&[&["document", "a.jpg", "b.png", "--out", out], &SETTINGS[..]].concat()));
    assert!(run("doc.doctags").contains("no DocTags tokens"));
    let tags = read(&workspace, "doc.doctags");
    assert!(tags.starts_with("<doctag>") && tags.ends_with("</doctag>\n"), "{tags}");
    assert_eq!(tags.matches("<page_break>").count(), 1);

    run("doc.json");
    let json: Value = serde_json::from_str(&read(&workspace, "doc.json")).unwrap();
    assert_eq!((&json["schema_name"], &json["name"]), (&"DoclingDocument".into(), &"doc".into()));
    assert_eq!(json["pages"].as_object().unwrap().len(), 2);
    assert_eq!(json["pages"]["2"]["size"]["width"].as_f64(), Some(png_width(&workspace)));

    run("doc.html");
    assert!(read(&workspace, "doc.html").starts_with("<!DOCTYPE html>"));
    run("doc.md");
    assert!(workspace.names().contains(&"doc.md".to_owned()));
}

/// The width in the header of b.png.
fn png_width(workspace: &Workspace) -> f64 {
    let bytes = fs::read(workspace.path("b.png")).unwrap();
    u32::from_be_bytes(bytes[16..20].try_into().unwrap()).into()
}

#[test]
fn document_models_are_not_warned_about() {
    let workspace = workspace();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/granite-docling/model");
    let model = model.to_str().unwrap();
    let args = ["document", "b.png", "--out", "o.txt", "--to", "md", "--model", model, "--max-new-tokens", "8"];
    let stderr = stderr(workspace.run(&args));
    assert!(!stderr.contains("DocTags") && stderr.contains("page 1 of 1"), "{stderr}");
    assert!(!read(&workspace, "o.txt").contains("<|end_of_text|>"));
}

#[test]
fn mistakes_are_reported_before_the_model_is_loaded() {
    let workspace = workspace();
    let fails = |args: &[&str]| workspace.fails(&[&["document"], args, &SETTINGS[..]].concat());
    assert!(fails(&["a.jpg", "--out", "doc.docx"]).contains("--to md"));
    assert!(fails(&["a.jpg", "--out", "a.jpg", "--to", "md"]).contains("a.jpg"));
    assert!(fails(&["a.jpg", "b.png", "--out", "doc.md", "--max-pages", "1"]).contains("--max-pages"));
    assert!(fails(&["a.jpg", "--out", "none/doc.md"]).contains("none"));
    assert!(fails(&["a.jpg", "none.png", "--out", "doc.md"]).contains("none.png"));
    assert!(fails(&["a.jpg", "--out", "-"]).contains("--to md"));
    assert!(fails(&["a.jpg", "--out", "doc.md", "--logprobs", "1"]).contains("--logprobs has no effect"));
    assert!(fails(&["a.jpg", "--out", "doc.md", "--num-return-sequences", "2"]).contains("--num-return-sequences"));
    assert_eq!(workspace.names(), ["a.jpg", "b.png"]);
}

#[test]
fn document_can_be_written_to_stdout() {
    let workspace = workspace();
    let tags = workspace.succeeds(&[&["document", "b.png", "--out", "-", "--to", "doctags"], &SETTINGS[..]].concat());
    assert!(tags.starts_with("<doctag>") && tags.ends_with("</doctag>\n"), "{tags}");
    assert_eq!(workspace.names(), ["a.jpg", "b.png"]);
}

#[test]
fn pdf_files_from_pipes_are_rejected() {
    let args = ["document", "-", "--out", "doc.md", "--random", "tiny"];
    let output = workspace().run_with_input(&args, b"%PDF-1.4\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("pass the path"), "{stderr}");
}

#[cfg(unix)]
mod pdf {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder of programs that only pretend to read PDF files.
    fn poppler(workspace: &Workspace, info: &str, render: &str) -> String {
        let folder = workspace.path("programs");
        fs::create_dir_all(&folder).unwrap();
        for (name, script) in [("pdfinfo", info), ("pdftoppm", render)] {
            let path = workspace.write(&format!("programs/{name}"), format!("#!/bin/sh\n{script}\n").as_bytes());
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    fn run(workspace: &Workspace, programs: &str, more: &[&str]) -> Output {
        workspace.write("report.pdf", b"%PDF-1.4\n");
        let args = [&["document", "report.pdf", "--out", "doc.json"], more, &SETTINGS[..]].concat();
        workspace.command(&args).env("PATH", programs).output().unwrap()
    }

    #[test]
    fn pages_are_rendered_one_by_one() {
        let workspace = workspace();
        let info = "echo 'Page    1 size:  595 x 842 pts'; echo 'Page    2 size:  20000 x 10000 pts'";
        let programs = poppler(&workspace, info, "echo \"$@\" >&2; echo \"$@\" >>rendered; exec /bin/cat b.png");
        stderr(run(&workspace, &programs, &["--dpi", "100"]));
        let json: Value = serde_json::from_str(&read(&workspace, "doc.json")).unwrap();
        assert_eq!(json["pages"].as_object().unwrap().len(), 2);
        let path = workspace.path("report.pdf");
        let expected =
            [("100", "1"), ("29", "2")].map(|(dpi, page)| format!("-q -png -r {dpi} -f {page} -l {page} {path}\n"));
        assert_eq!(read(&workspace, "rendered"), expected.concat());
    }

    #[test]
    fn pages_before_a_failure_are_written() {
        let workspace = workspace();
        let info = "for n in 1 2 3; do echo \"Page $n size: 5 x 5 pts\"; done";
        let render = "case \"$*\" in *'-f 2 '*) echo broken >&2; exit 1;; esac; exec /bin/cat b.png";
        let output = run(&workspace, &poppler(&workspace, info, render), &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && stderr.contains("report.pdf: pdftoppm: broken"), "{stderr}");
        assert!(stderr.contains("page 2 of 3 failed"), "{stderr}");
        let json: Value = serde_json::from_str(&read(&workspace, "doc.json")).unwrap();
        assert_eq!(json["pages"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn missing_programs_and_damaged_files_are_one_line() {
        let workspace = workspace();
        let line = |output: Output| {
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(1) && stderr.lines().count() == 1, "{stderr}");
            stderr
        };
        let missing = line(run(&workspace, &workspace.path("nothing"), &[]));
        assert!(missing.contains("pdfinfo") && missing.contains("install poppler"), "{missing}");
        let programs = poppler(&workspace, "echo 'Incorrect password' >&2; exit 1", "exit 1");
        assert!(line(run(&workspace, &programs, &[])).contains("report.pdf: pdfinfo: Incorrect password"));
        let programs = poppler(&workspace, "echo 'Pages: 0'", "exit 1");
        assert!(line(run(&workspace, &programs, &[])).contains("no pages"));
        let many = "for n in 1 2 3; do echo \"Page $n size: 5 x 5 pts\"; done";
        let programs = poppler(&workspace, many, "exit 1");
        assert!(line(run(&workspace, &programs, &["--max-pages", "2"])).contains("--max-pages"));
        assert!(!workspace.names().contains(&"doc.json".to_owned()));
    }
}
