//! The sample service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chassis::process::run::<sample_service::SampleService>(telemetry::build_info!()).await
}
