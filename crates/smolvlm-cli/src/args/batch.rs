//! Arguments of `smolvlm batch`.

use super::{Model, Sampling};
use clap::{Args, ValueEnum};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Arguments of `smolvlm batch`.
#[derive(Debug, Args)]
#[command(after_help = BATCH)]
pub struct Batch {
    /// Data set: a JSONL file (.jsonl, .ndjson, or .json, also with a list of rows), a Parquet file (.parquet), a
    /// folder of images and videos, or a glob pattern of files of one of these kinds, in quotes
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Folder to write; a run with the same settings resumes there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Question about each row, with values of columns as {column}; {{ and }} are braces. Of files in a folder, the
    /// only column is {path} [default: as in `describe`]
    #[arg(long, value_name = "TEXT", conflicts_with = "messages_column")]
    pub prompt: Option<String>,
    /// Column with an image, or a list of images: a path relative to the input file, a URL, base64, bytes, or a struct
    /// of bytes and path as in image data sets of the Hub; repeatable
    #[arg(long, value_name = "COLUMN", conflicts_with = "messages_column")]
    pub image_column: Vec<String>,
    /// Column with a video, or a list of videos, as for images; repeatable
    #[arg(long, value_name = "COLUMN", conflicts_with = "messages_column")]
    pub video_column: Vec<String>,
    /// Column with the conversation, a list of messages or its JSON text [default: messages, unless columns make the
    /// conversation]
    #[arg(long, value_name = "COLUMN")]
    pub messages_column: Option<String>,
    /// Column that identifies a row [default: id if present, else the index of the row, from 0; for files, their path]
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,
    /// Format of the output [default: parquet for Parquet, else jsonl]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Rows per output file
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub rows_per_part: u32,
    /// Answer only shard I of N, from 1: rows I-1, I-1+N, I-1+2N, ... All shards may write to the same folder
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub shard: Shard,
    /// Maximum number of rows that are answered at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub in_flight: u16,
    /// Exit with code 1 if any row failed
    #[arg(long)]
    pub fail_on_error: bool,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// Explanation of the output of `smolvlm batch`.
const BATCH: &str = "\
Each row of the output has id, text, finish_reason, prompt_tokens, completion_tokens, error (null, or why the row has \
no answer) and notes (warnings about its media). Files are named part-00000.jsonl and so on, or with --shard \
shard-1-of-4-part-00000.jsonl. They appear when complete and never change. batch.json has the settings; other settings \
need another folder. After an interruption, the same command continues: rows that were answered are not answered again.

With --seed, each row is sampled with the seed plus its index.";

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line
    Jsonl,
    /// Apache Parquet
    Parquet,
}

impl Format {
    /// The name, which is also the extension of files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// A share of the rows of a data set: those whose index has the same remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Number of the shard, from 1.
    pub number: u64,
    /// Number of shards.
    pub count: u64,
}

impl Shard {
    /// Index in the data set of a row of this shard; none if it exceeds all data sets.
    pub fn index(self, row: u64) -> Option<u64> {
        row.checked_mul(self.count)?.checked_add(self.number - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Self { number, count }),
            _ => Err("expected I/N with I from 1 to N, such as 2/4".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn shards_hold_each_row_once() {
        let mut rows: Vec<u64> = Vec::new();
        for number in 1..=3 {
            let shard: Shard = format!("{number}/3").parse().unwrap();
            rows.extend((0..4).filter_map(|row| shard.index(row)));
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..12).collect::<Vec<_>>());
        assert_eq!("2/3".parse::<Shard>().unwrap().index(u64::MAX), None);
        for wrong in ["0/2", "3/2", "0/0", "1", "1/", "a/b", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
