//! The sample service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    platform::process::run::<sample_service::SampleService>(platform::build_info!()).await
}
