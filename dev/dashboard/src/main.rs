//! Serves the dashboard until it is told to end.

use std::process::ExitCode;

use dashboard::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let served = match Settings::read() {
        Ok(settings) => dashboard::serve(settings).await,
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A line that `cargo dev logs` can read.
            #[allow(clippy::print_stderr, reason = "its log is what it writes there")]
            {
                eprintln!("{} ERROR {error:#}", dashboard::now());
            }
            ExitCode::FAILURE
        }
    }
}
