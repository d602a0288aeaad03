//! `interline sandbox`
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_args: &Args, _verbose: u8) -> super::Outcome {
    Ok(super::ExitCode::Done)
}
