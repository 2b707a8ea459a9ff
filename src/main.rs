//! The `unlearn` binary: arguments in, the straight line, an exit code out.

mod cli;
mod command;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use unlearn::error::Error;
use unlearn::kernels::{self, simd::Isa};
use unlearn::output::Output;

use cli::{Cli, Command};

// Tensors come and go by the megabyte; the system's allocator hands them back to the kernel each time and pays for fresh pages. This one can
// be told to keep them, which `main` does first of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kernels::memory::keep_freed();
    let cli = Cli::parse();
    let output = Output::new(cli.quiet);
    match run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our messages hold their cause already.
            output.error(&error.to_string());
            ExitCode::from(error.downcast_ref::<Error>().map_or(1, Error::exit_code))
        }
    }
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<()> {
    Isa::named()?;
    kernels::ours()?;
    let interrupted = output.interrupt_flag();
    let again = output.clone();
    ctrlc::set_handler(move || {
        // The second time the user means it.
        if interrupted.swap(true, Ordering::Relaxed) {
            std::process::abort();
        }
        again.warn("stopping after this batch; press again to stop at once");
    })?;
    match cli.command {
        Command::Demo(args) => command::swap::demo(args, cli.json, output)?,
        Command::Train(args) => command::train::train(args, cli.json, output)?,
        Command::Swap(args) => command::swap::swap(args, cli.json, output)?,
        Command::Oracle(args) => command::oracle::oracle(args, cli.json, output)?,
        Command::Study(args) => command::study::study(args, cli.json, output)?,
        Command::Audit(args) => command::audit::audit(args, cli.json, output)?,
        Command::Report(args) => command::report::report(&args, cli.json, output)?,
        Command::Compare(args) => command::report::compare(&args, cli.json, output)?,
        Command::List(args) => command::list::list(args.what, cli.json, output)?,
        Command::Inspect(args) => command::inspect::inspect(&args.file, cli.json, output)?,
        Command::Data(args) => command::data::data(args, cli.json, output)?,
    }
    Ok(output.finish()?)
}
