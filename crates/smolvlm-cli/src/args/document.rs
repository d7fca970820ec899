//! Arguments of `smolvlm document`.

use super::{Model, Sampling};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Arguments of `smolvlm document`.
#[derive(Debug, Args)]
pub struct Document {
    /// Pages in order: images by path or URL, PDF files (with pdftoppm and pdfinfo of poppler on the PATH), or - for an
    /// image from stdin
    #[arg(required = true, value_name = "PAGE")]
    pub pages: Vec<OsString>,
    /// File to write; - is stdout
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Format of the file [default: by its extension]
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<DocumentFormat>,
    /// Instruction for each page; the model card of the checkpoint lists the others it knows
    #[arg(long, value_name = "TEXT", default_value = "Convert this page to docling.")]
    pub prompt: String,
    /// Resolution of PDF pages in dots per inch; lower for very large pages
    #[arg(long, value_name = "N", default_value_t = 144, value_parser = clap::value_parser!(u16).range(18..=1200))]
    pub dpi: u16,
    /// Maximum number of pages, all inputs together; more are an error
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pages: u32,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// Format of the output of `smolvlm document`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentFormat {
    /// Markdown
    Md,
    /// A web page
    Html,
    /// JSON of docling (DoclingDocument)
    Json,
    /// The model's tags, repaired
    Doctags,
}

impl DocumentFormat {
    /// The format that a file's extension names.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "md" | "markdown" => Some(Self::Md),
            "html" | "htm" => Some(Self::Html),
            "json" => Some(Self::Json),
            "doctags" | "dt" => Some(Self::Doctags),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DocumentFormat;
    use std::path::Path;

    #[test]
    fn extensions_name_formats() {
        let format = |name: &str| DocumentFormat::of_path(Path::new(name));
        assert_eq!(format("a/b.MD"), Some(DocumentFormat::Md));
        assert_eq!(format("page.htm"), Some(DocumentFormat::Html));
        assert_eq!((format("page.docx"), format("json"), format("/dev/stdout")), (None, None, None));
    }
}
