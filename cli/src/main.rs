//! `cnn`: checks, summarises and emits `.cnn` files.

#![forbid(unsafe_code)]

mod report;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use cnn_dsl::{build, codegen, ir, summary};

/// Compiler for convolutional networks declared in .cnn files.
#[derive(Parser)]
#[command(name = "cnn", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check files and report every mistake
    Check {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print layers, output shapes and parameter counts
    Summary {
        /// File to summarise
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Print the Rust code that a file compiles to
    Emit {
        /// File to compile
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Keras's table
    Table,
    /// An object for a model; an array of objects if the file has several
    Json,
}

fn main() -> ExitCode {
    let (output, success) = run(&Cli::parse().command);
    match io::stdout().write_all(output.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) if success => ExitCode::SUCCESS,
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && success => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("error: cannot write the output: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// What goes to standard output, and whether all went well.
fn run(command: &Command) -> (String, bool) {
    match command {
        Command::Check { files } => {
            let mut output = String::new();
            let mut success = true;
            for file in files {
                match load(file) {
                    Some(models) => output += &report::checked(file, &models),
                    None => success = false,
                }
            }
            (output, success)
        }
        Command::Summary { file, format } => with_models(file, |models| match format {
            Format::Table => {
                let tables: Vec<String> = models.iter().map(summary::table).collect();
                tables.join("\n")
            }
            Format::Json => report::json(models),
        }),
        Command::Emit { file } => with_models(file, |models| {
            codegen::pretty(codegen::emit(models, &codegen::Options::default()))
        }),
    }
}

fn with_models(file: &Path, show: impl Fn(&[ir::Model]) -> String) -> (String, bool) {
    load(file).map_or((String::new(), false), |models| (show(&models), true))
}

/// The models of a file; mistakes go to standard error.
fn load(file: &Path) -> Option<Vec<ir::Model>> {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match build::load(file, color) {
        Ok(models) => Some(models),
        Err(mut problem) => {
            if !problem.ends_with('\n') {
                problem.push('\n');
            }
            complain(&problem);
            None
        }
    }
}

fn complain(text: &str) {
    // Standard error may be closed; the exit code still tells.
    let _ = io::stderr().write_all(text.as_bytes());
}
