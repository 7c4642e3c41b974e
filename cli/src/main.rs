//! `cnn`: checks, formats, summarises, explains, compares and emits `.cnn` files, starts a crate, and
//! filters pictures.
//!
//! Exit codes: 0 if all is right, 1 if a text has mistakes or a comparison fails, 2 for wrong
//! usage and for files that cannot be read or written.

#![forbid(unsafe_code)]

mod check;
mod compare;
mod difference;
mod emit;
mod filter;
mod format;
mod graph;
mod input;
mod new;
mod report;
mod write;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Compiler for convolutional networks declared in .cnn files.
#[derive(Parser)]
#[command(name = "cnn", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 if all is right, 1 if a text has mistakes or a comparison \
fails, 2 for wrong usage and for files that cannot be read or written.";

#[derive(Subcommand)]
enum Command {
    /// Check files and report every mistake
    Check {
        /// Files to check; folders are searched for *.cnn
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How to report mistakes
        #[arg(long, value_enum, default_value_t = check::Format::Human)]
        format: check::Format,
    },
    /// Bring files into the one layout of the language
    Fmt {
        /// Files to format in place; folders are searched for *.cnn, `-` is standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Change nothing, and fail if anything would change
        #[arg(long)]
        check: bool,
    },
    /// Print layers, output shapes and parameter counts
    Summary {
        /// File to summarise
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = SummaryFormat::Table)]
        format: SummaryFormat,
        /// Only this model of the file
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Say where sizes come from: shapes, parameters and receptive fields, with the numbers put in
    Explain {
        /// File to explain
        file: PathBuf,
        /// Only this model of the file
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Compare two files: parameters, multiply-adds and memory, in all and layer by layer
    Compare {
        /// The file to start from
        before: PathBuf,
        /// The file to compare with it
        after: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = compare::Format::Table)]
        format: compare::Format,
    },
    /// Make a crate with a network, a program that trains it, and a test
    New {
        /// Name of the crate and of its folder
        name: String,
        /// Take the crates from this repository instead of the registry
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Print the Rust code that a file compiles to
    Emit {
        /// File to compile
        file: PathBuf,
        /// Compare with this file instead, and show the first difference
        #[arg(long, value_name = "EXPECTED.rs", conflicts_with = "out")]
        check: Option<PathBuf>,
        /// Write to this file instead
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run filters over a picture, as OpenCV's filter2D does
    Filter(filter::Request),
}

#[derive(Clone, Copy, ValueEnum)]
enum SummaryFormat {
    /// Keras's table
    Table,
    /// An object for a model; an array of objects if the file has several
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Mermaid, as Markdown viewers draw it
    Mermaid,
}

/// How a command ended, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// All is right.
    Right,
    /// A text has mistakes, or differs from what was expected.
    Wrong,
    /// Wrong usage, or a file that cannot be read or written.
    Unusable,
}

/// What a command leaves: standard output, and how it ended. Complaints are already printed.
struct Outcome {
    output: String,
    status: Status,
}

impl Outcome {
    fn right(output: String) -> Self {
        Self { output, status: Status::Right }
    }

    /// A complaint instead of output.
    fn failed(status: Status, complaint: &str) -> Self {
        complain(complaint);
        Self { output: String::new(), status }
    }
}

fn main() -> ExitCode {
    let Outcome { output, status } = run(&Cli::parse().command);
    match io::stdout().write_all(output.as_bytes()).and_then(|()| io::stdout().flush()) {
        // A reader that closes the pipe has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("error: cannot write the output: {error}"));
            ExitCode::from(Status::Unusable as u8)
        }
        _ => ExitCode::from(status as u8),
    }
}

fn run(command: &Command) -> Outcome {
    match command {
        Command::Check { files, format } => check::run(files, *format),
        Command::Fmt { files, check } => format::run(files, *check),
        Command::Summary { file, format, model } => {
            input::with_models(file, model.as_deref(), |models| match format {
                SummaryFormat::Table => {
                    let tables: Vec<String> = models.iter().map(cnn_dsl::summary::table).collect();
                    tables.join("\n")
                }
                SummaryFormat::Json => report::json(models),
                SummaryFormat::Dot => graph::dot(models),
                SummaryFormat::Mermaid => graph::mermaid(models),
            })
        }
        Command::Explain { file, model } => input::with_models(file, model.as_deref(), |models| {
            let texts: Vec<String> = models.iter().map(cnn_dsl::explain::text).collect();
            texts.join("\n")
        }),
        Command::Compare { before, after, format } => compare::run(before, after, *format),
        Command::New { name, path } => new::run(name, path.as_deref()),
        Command::Emit { file, check, out } => emit::run(file, check.as_deref(), out.as_deref()),
        Command::Filter(request) => filter::run(request),
    }
}

/// Whether standard error takes colours (<https://no-color.org>).
fn colored() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

/// Prints to standard error, with a newline at the end.
fn complain(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // Standard error may be closed; the exit code still tells.
    let _ = io::stderr().write_all([text, end].concat().as_bytes());
}
