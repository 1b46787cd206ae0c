//! Rows of a file, as they stand in it: CSV, a JSON array, or NDJSON flows in; for each row the
//! line it begins on and its cells flow out. What the cells become is [`convert`]'s matter.

pub mod assign;
pub mod convert;
pub mod csv;
pub mod infer;
pub mod json;
pub mod key;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::Failure;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated, a header line first (RFC 4180).
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// The form that the file's name tells.
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            _ => return None,
        })
    }
}

/// One cell as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// An empty CSV field, JSON `null`.
    Null,
    /// A JSON integer, or a JSON boolean as 0 or 1.
    Integer(i64),
    /// A JSON number that is no integer.
    Real(f64),
    /// A CSV field without quotes: it may stand for a number.
    Bare(&'a str),
    /// A CSV field in quotes, or a JSON string.
    Text(&'a str),
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Bare(usize, usize),
    Text(usize, usize),
}

/// One row of a file; used again for the next.
#[derive(Debug, Default)]
pub struct RawRow {
    /// Line that it begins on, from 1.
    pub line: u64,
    text: String,
    cells: Vec<(usize, Stored)>,
}

impl RawRow {
    fn clear(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.cells.clear();
    }

    fn push(&mut self, column: usize, cell: Raw<'_>) {
        let stored = match cell {
            Raw::Null => Stored::Null,
            Raw::Integer(i) => Stored::Integer(i),
            Raw::Real(r) => Stored::Real(r),
            Raw::Bare(t) | Raw::Text(t) => {
                let start = self.text.len();
                self.text.push_str(t);
                match cell {
                    Raw::Bare(_) => Stored::Bare(start, start + t.len()),
                    _ => Stored::Text(start, start + t.len()),
                }
            }
        };
        self.cells.push((column, stored));
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Column numbers (of [`Reader::columns`]) and cells, as they come.
    pub fn cells(&self) -> impl Iterator<Item = (usize, Raw<'_>)> {
        self.cells.iter().map(|&(column, stored)| {
            let raw = match stored {
                Stored::Null => Raw::Null,
                Stored::Integer(i) => Raw::Integer(i),
                Stored::Real(r) => Raw::Real(r),
                Stored::Bare(a, b) => Raw::Bare(&self.text[a..b]),
                Stored::Text(a, b) => Raw::Text(&self.text[a..b]),
            };
            (column, raw)
        })
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Line, from 1.
    pub line: u64,
    /// What was found and what was expected.
    pub what: String,
    /// Nothing behind it can be read either.
    pub fatal: bool,
}

impl BadLine {
    fn new(line: u64, what: impl Into<String>) -> Self {
        Self { line, what: what.into(), fatal: false }
    }

    fn fatal(line: u64, what: impl Into<String>) -> Self {
        Self { line, what: what.into(), fatal: true }
    }

    /// As a failure, with the file's name.
    pub fn in_file(self, file: &str) -> Failure {
        Failure::Line { file: file.into(), line: self.line, what: self.what }
    }
}

/// Where rows come from: a file, or standard input kept in memory, so that it can be read twice.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name to call it in errors.
    pub name: String,
    /// Its form.
    pub format: Format,
    separator: u8,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

struct SharedBytes(Arc<[u8]>, usize);

impl Read for SharedBytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (&self.0[self.1..]).read(buf)?;
        self.1 += n;
        Ok(n)
    }
}

impl Input {
    /// The input that `file` names, `-` for standard input.
    ///
    /// # Errors
    /// A name that does not tell the form, or standard input that cannot be read.
    pub fn new(file: &Path, format: Option<Format>, separator: u8) -> Result<Self, Failure> {
        if file == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(Failure::file("standard input"))?;
            return Ok(Self {
                name: "standard input".into(),
                format: format.unwrap_or(Format::Csv),
                separator,
                place: Place::Memory(bytes.into()),
            });
        }
        let format = format.or_else(|| Format::of_name(file)).ok_or_else(|| {
            Failure::Usage(format!(
                "{}: the name ends neither in .csv, .json, .ndjson nor .jsonl; say --format",
                file.display()
            ))
        })?;
        Ok(Self {
            name: file.display().to_string(),
            format,
            separator,
            place: Place::File(file.to_path_buf()),
        })
    }

    /// An input that is in memory already.
    pub fn of_bytes(name: &str, format: Format, bytes: &[u8]) -> Self {
        Self { name: name.into(), format, separator: b',', place: Place::Memory(bytes.into()) }
    }

    /// Bytes in it, for progress.
    ///
    /// # Errors
    /// No such file.
    pub fn bytes(&self) -> Result<u64, Failure> {
        match &self.place {
            Place::File(path) => {
                std::fs::metadata(path).map(|m| m.len()).map_err(Failure::file(path))
            }
            Place::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// A reader from the beginning; called again, it begins again.
    ///
    /// # Errors
    /// The file cannot be opened, or its header makes no sense.
    pub fn open(&self) -> Result<Reader, Failure> {
        let inner: Box<dyn Read> = match &self.place {
            Place::File(path) => Box::new(File::open(path).map_err(Failure::file(path))?),
            Place::Memory(bytes) => Box::new(SharedBytes(Arc::clone(bytes), 0)),
        };
        let lines = Lines { inner: BufReader::with_capacity(256 << 10, inner), line: 0, bytes: 0 };
        Ok(match self.format {
            Format::Csv => Reader::Csv(
                csv::CsvReader::new(lines, self.separator).map_err(|e| e.in_file(&self.name))?,
            ),
            Format::Json => Reader::Json(json::JsonReader::array(lines)),
            Format::Ndjson => Reader::Json(json::JsonReader::lines(lines)),
        })
    }
}

/// A file read row by row.
pub enum Reader {
    /// CSV.
    Csv(csv::CsvReader),
    /// JSON, of either form.
    Json(json::JsonReader),
}

impl Reader {
    /// Column names: all of them for CSV, those seen so far for JSON.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Csv(r) => r.columns(),
            Self::Json(r) => r.columns(),
        }
    }

    /// Bytes read so far, for progress.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Csv(r) => r.beneath().bytes,
            Self::Json(r) => r.beneath().bytes,
        }
    }

    /// The next row; false at the end.
    ///
    /// # Errors
    /// A bad line; unless it is fatal, the next call goes on behind it.
    pub fn next(&mut self, row: &mut RawRow) -> Result<bool, BadLine> {
        match self {
            Self::Csv(r) => r.next(row),
            Self::Json(r) => r.next(row),
        }
    }
}

/// Lines of a file, counted.
pub struct Lines {
    inner: BufReader<Box<dyn Read>>,
    /// Lines read so far.
    pub line: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

impl Lines {
    /// Appends the next line, its end included; false at the end of the file.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, BadLine> {
        let n = self
            .inner
            .read_until(b'\n', out)
            .map_err(|e| BadLine::fatal(self.line + 1, format!("cannot be read: {e}")))?;
        self.bytes += n as u64;
        self.line += u64::from(n > 0);
        Ok(n > 0)
    }

    #[cfg(test)]
    fn of(text: &'static [u8]) -> Self {
        Self { inner: BufReader::new(Box::new(text)), line: 0, bytes: 0 }
    }
}
